//! A task without settings is a function: [`crate::task!`] makes the type of it.

/// Makes a task of a function without settings. Its name is the function's, with `-` for `_`; the
/// line above it tells operators what it is for.
///
/// ```
/// use keepwell_sdk::prelude::*;
///
/// fn memory_line(_: &Request) -> Result<Summary, Failure> {
///     Ok(Summary::done(format!("{} of memory", Size(metrics::memory()?.total_bytes))))
/// }
/// keepwell_sdk::task! {
///     /// Says how much memory there is
///     memory_line as MemoryLine, needs [need(METRICS, "to see it")]
/// }
/// keepwell_sdk::plugin!("memory", "Knows the memory", [MemoryLine]);
/// # fn main() {
/// # assert_eq!(<MemoryLine as Task>::NAME, "memory-line");
/// # assert_eq!(<MemoryLine as Task>::ABOUT, "Says how much memory there is");
/// # }
/// ```
#[macro_export]
macro_rules! task {
    ($(#[doc = $about:literal])+ $run:ident as $name:ident, needs [$($need:expr),* $(,)?]) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl $crate::Task for $name {
            const NAME: &str = {
                const NAME: [u8; stringify!($run).len()] = $crate::dashed(stringify!($run));
                $crate::trimmed(&NAME)
            };
            const ABOUT: &str = $crate::trimmed(concat!($($about),+).as_bytes());
            const NEEDS: &[$crate::Need] = &[$($need),*];

            fn run(
                self,
                request: &$crate::Request,
            ) -> ::core::result::Result<$crate::Summary, $crate::Failure> {
                $run(request)
            }
        }

        impl<'de> $crate::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(
                from: D,
            ) -> ::core::result::Result<Self, D::Error> {
                $crate::serde::de::IgnoredAny::deserialize(from).map(|_| Self)
            }
        }
    };
}

/// A function's name as a task's: `swap_check` is `swap-check`.
#[doc(hidden)]
pub const fn dashed<const N: usize>(name: &str) -> [u8; N] {
    let mut dashed = [0; N];
    let mut at = 0;
    while at < N {
        let byte = name.as_bytes()[at];
        dashed[at] = if byte == b'_' { b'-' } else { byte };
        at += 1;
    }
    dashed
}

/// Without the spaces around it.
#[doc(hidden)]
pub const fn trimmed(text: &'static [u8]) -> &'static str {
    match str::from_utf8(text.trim_ascii()) {
        Ok(text) => text,
        Err(_) => panic!("a name or a line is not UTF-8"),
    }
}
