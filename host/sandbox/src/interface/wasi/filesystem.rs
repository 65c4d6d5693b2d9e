//! `wasi:filesystem`: no directory was handed over, so no file can be named.

use super::Never;
use super::bindings::wasi::filesystem::{preopens, types};
use super::cli::Output;
use super::io::Empty;
use crate::ctx::Ctx;
use types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime::component::Resource;

type Answer<T> = Result<T, ErrorCode>;
type File = Resource<Never>;

impl preopens::Host for Ctx {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(File, String)>> {
        Ok(Vec::new())
    }
}

impl types::Host for Ctx {
    fn filesystem_error_code(
        &mut self,
        it: Resource<Never>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        match *self.table.get(&it)? {}
    }
}

/// What can be done with something of which there is none: it is looked for in the table, and the
/// run ends there as it does for any number that is no resource.
macro_rules! on_nothing {
    ($($name:ident($($of:ty),*) -> $gives:ty;)*) => {
        $(fn $name(&mut self, it: File, $(_: $of),*) -> wasmtime::Result<$gives> {
            match *self.table.get(&it)? {}
        })*
    };
}

impl types::HostDescriptor for Ctx {
    on_nothing! {
        read_via_stream(u64) -> Answer<Resource<Empty>>;
        write_via_stream(u64) -> Answer<Resource<Output>>;
        append_via_stream() -> Answer<Resource<Output>>;
        advise(u64, u64, Advice) -> Answer<()>;
        sync_data() -> Answer<()>;
        get_flags() -> Answer<DescriptorFlags>;
        get_type() -> Answer<DescriptorType>;
        set_size(u64) -> Answer<()>;
        set_times(NewTimestamp, NewTimestamp) -> Answer<()>;
        read(u64, u64) -> Answer<(Vec<u8>, bool)>;
        write(Vec<u8>, u64) -> Answer<u64>;
        read_directory() -> Answer<Resource<Never>>;
        sync() -> Answer<()>;
        create_directory_at(String) -> Answer<()>;
        stat() -> Answer<DescriptorStat>;
        stat_at(PathFlags, String) -> Answer<DescriptorStat>;
        set_times_at(PathFlags, String, NewTimestamp, NewTimestamp) -> Answer<()>;
        link_at(PathFlags, String, File, String) -> Answer<()>;
        open_at(PathFlags, String, OpenFlags, DescriptorFlags) -> Answer<File>;
        readlink_at(String) -> Answer<String>;
        remove_directory_at(String) -> Answer<()>;
        rename_at(String, File, String) -> Answer<()>;
        symlink_at(String, String) -> Answer<()>;
        unlink_file_at(String) -> Answer<()>;
        is_same_object(File) -> bool;
        metadata_hash() -> Answer<MetadataHashValue>;
        metadata_hash_at(PathFlags, String) -> Answer<MetadataHashValue>;
    }

    fn drop(&mut self, it: File) -> wasmtime::Result<()> {
        match self.table.delete(it)? {}
    }
}

impl types::HostDirectoryEntryStream for Ctx {
    on_nothing! {
        read_directory_entry() -> Answer<Option<DirectoryEntry>>;
    }

    fn drop(&mut self, it: Resource<Never>) -> wasmtime::Result<()> {
        match self.table.delete(it)? {}
    }
}
