//! The walls around a worker, in the order they are put up. After them the process can read what
//! was granted, use the descriptors it has, compute, and end.

mod descriptors;
pub(crate) mod landlock;
pub(crate) mod seccomp;

pub(crate) use descriptors::close_all_others;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs,
};

/// Memory of the worker beside the guest's: code, stacks, listings of stores, and what one frame
/// holds. A store of a million shards is listed in about 150 MiB.
const HEADROOM_BYTES: u64 = 384 << 20;
/// A walk holds one descriptor for each level of depth; eight of them at full depth fit.
const OPEN_FILES_MAX: u64 = 1_536;

/// The process's own bounds. Not the address space: Wasmtime reserves much and uses little.
/// Not the number of processes: that counts all of a user's, and seccomp forbids new ones.
pub(crate) fn bound_resources(guest_memory: u64) -> rustix::io::Result<()> {
    let exactly = |n| Rlimit {
        current: Some(n),
        maximum: Some(n),
    };
    setrlimit(Resource::Core, exactly(0))?;
    setrlimit(Resource::Fsize, exactly(0))?;
    lower(Resource::Nofile, OPEN_FILES_MAX)?;
    lower(Resource::Data, guest_memory.saturating_add(HEADROOM_BYTES))
}

/// Bounds for the compiling process.
pub(crate) fn bound_compiler(memory: u64) -> rustix::io::Result<()> {
    let exactly = |n| Rlimit {
        current: Some(n),
        maximum: Some(n),
    };
    setrlimit(Resource::Core, exactly(0))?;
    setrlimit(Resource::Fsize, exactly(0))?;
    lower(Resource::Nofile, 16)?;
    lower(Resource::Data, memory)
}

/// CPU time of the compiling process, from its start.
pub(crate) fn bound_cpu(seconds: u64) -> rustix::io::Result<()> {
    lower(Resource::Cpu, seconds)
}

/// Sets a limit, or keeps the one in force where that is stricter.
fn lower(resource: Resource, to: u64) -> rustix::io::Result<()> {
    let now = rustix::process::getrlimit(resource);
    let least = now.maximum.map_or(to, |most| most.min(to));
    setrlimit(
        resource,
        Rlimit {
            current: Some(least),
            maximum: Some(least),
        },
    )
}

/// Gives up every Linux capability, except reading whatever was granted when `reads`. True when
/// there were some to give up.
pub(crate) fn drop_privileges(reads: bool) -> rustix::io::Result<bool> {
    let held = capabilities(None)?;
    if held.permitted.is_empty() && held.effective.is_empty() && held.inheritable.is_empty() {
        return Ok(false);
    }
    let kept = if reads {
        CapabilitySet::DAC_READ_SEARCH
    } else {
        CapabilitySet::empty()
    };
    let kept = kept & held.permitted;
    clear_ambient_capability_set()?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(true)
}

/// No way back to privileges, nobody may look inside, and no life without the host.
pub(crate) fn bind_to_host() -> rustix::io::Result<()> {
    set_no_new_privs(true)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_parent_process_death_signal(Some(Signal::KILL))
}
