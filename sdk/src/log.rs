//! Lines for the run's log: `log::info!("{n} files")`.

pub use crate::wit::keepwell::task::core::Level;

/// One line, at a level chosen when running.
pub fn line(level: Level, text: &str) {
    crate::wit::sys::core::log(level, text);
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $($text:tt)+) => {
        $crate::log::line($crate::log::Level::$level, &::std::format!($($text)+))
    };
}
#[doc(hidden)]
#[macro_export]
macro_rules! __debug { ($($text:tt)+) => { $crate::__log!(Debug, $($text)+) }; }
#[doc(hidden)]
#[macro_export]
macro_rules! __info { ($($text:tt)+) => { $crate::__log!(Info, $($text)+) }; }
#[doc(hidden)]
#[macro_export]
macro_rules! __warn { ($($text:tt)+) => { $crate::__log!(Warn, $($text)+) }; }
#[doc(hidden)]
#[macro_export]
macro_rules! __error { ($($text:tt)+) => { $crate::__log!(Error, $($text)+) }; }

#[doc(inline)]
pub use crate::{__debug as debug, __error as error, __info as info, __warn as warn};
