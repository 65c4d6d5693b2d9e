//! Interface `metrics`: readings of the node, asked of the host, which can see it.

use super::bindings::metrics as wit;
use crate::ctx::{Answered, Ctx, wrong_answer};
use crate::protocol::{Answer, Ask};
use keepwell_model::capability::Capability;
use keepwell_model::words::Refusal;
use keepwell_node::pressure::{Contended, Stall};
use keepwell_node::processes::{MAX_PROCESSES, Order};

impl Ctx {
    /// Asks for a reading and takes the answer that fits.
    fn reading<T, U>(
        &mut self,
        function: &'static str,
        ask: Ask,
        fits: impl FnOnce(Answer) -> Option<Result<T, Refusal>>,
        convert: impl FnOnce(T) -> U,
    ) -> Answered<U> {
        self.call(function, "", |ctx| {
            ctx.need(Capability::Metrics)?;
            let answer = ctx.ask(ask)?;
            let reading = fits(answer).ok_or_else(wrong_answer)?;
            Ok(convert(reading?))
        })
    }
}

fn stall(stall: Stall) -> wit::Stall {
    wit::Stall {
        avg_10: stall.avg_10,
        avg_60: stall.avg_60,
        avg_300: stall.avg_300,
    }
}

impl wit::Host for Ctx {
    fn get_cpu(&mut self) -> Answered<wit::Cpu> {
        self.call("metrics.get-cpu", "", |ctx| {
            ctx.need(Capability::Metrics)?;
            // Measured once in a run: a second measurement would wait again.
            if ctx.cpu.is_none() {
                let Answer::Cpu(reading) = ctx.ask(Ask::Cpu)? else {
                    return Err(wrong_answer());
                };
                ctx.cpu = Some(reading);
            }
            let cpu = ctx.cpu.clone().ok_or_else(wrong_answer)??;
            Ok(wit::Cpu {
                cores: cpu.cores,
                busy_ratio: cpu.busy_ratio,
                per_core: cpu.per_core,
                load_1: cpu.load_1,
                load_5: cpu.load_5,
                load_15: cpu.load_15,
            })
        })
    }

    fn get_memory(&mut self) -> Answered<wit::Memory> {
        let fits = |answer| {
            if let Answer::Memory(m) = answer {
                Some(m)
            } else {
                None
            }
        };
        self.reading("metrics.get-memory", Ask::Memory, fits, |m| wit::Memory {
            total_bytes: m.total_bytes,
            available_bytes: m.available_bytes,
            swap_total_bytes: m.swap_total_bytes,
            swap_used_bytes: m.swap_used_bytes,
        })
    }

    fn get_pressure(&mut self, of: wit::Contended) -> Answered<Option<wit::Pressure>> {
        let of = match of {
            wit::Contended::Cpu => Contended::Cpu,
            wit::Contended::Memory => Contended::Memory,
            wit::Contended::Io => Contended::Io,
        };
        let fits = |answer| {
            if let Answer::Pressure(p) = answer {
                Some(p)
            } else {
                None
            }
        };
        self.reading(
            "metrics.get-pressure",
            Ask::Pressure(of),
            fits,
            |pressure| {
                pressure.map(|p| wit::Pressure {
                    some: stall(p.some),
                    full: p.full.map(stall),
                })
            },
        )
    }

    fn list_mounts(&mut self) -> Answered<Vec<wit::Mount>> {
        let fits = |answer| {
            if let Answer::Mounts(m) = answer {
                Some(m)
            } else {
                None
            }
        };
        let answered = self.reading("metrics.list-mounts", Ask::Mounts, fits, |found| found)?;
        let (mounts, silent) = match answered {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for path in silent {
            let message = format!("mount `{path}` did not answer in time and was left out");
            super::bindings::core::Host::log(self, super::bindings::core::Level::Warn, message)?;
        }
        Ok(Ok(mounts.into_iter().map(mount).collect()))
    }

    fn list_networks(&mut self) -> Answered<Vec<wit::Network>> {
        let fits = |answer| {
            if let Answer::Networks(n) = answer {
                Some(n)
            } else {
                None
            }
        };
        self.reading("metrics.list-networks", Ask::Networks, fits, |all| {
            all.into_iter().map(network).collect()
        })
    }

    fn list_processes(&mut self, order: wit::Order, max: u32) -> Answered<Vec<wit::Process>> {
        let order = match order {
            wit::Order::ByMemory => Order::ByMemory,
            wit::Order::ByCpu => Order::ByCpu,
        };
        let max = usize::try_from(max)
            .unwrap_or(MAX_PROCESSES)
            .min(MAX_PROCESSES);
        let fits = |answer| {
            if let Answer::Processes(p) = answer {
                Some(p)
            } else {
                None
            }
        };
        let ask = Ask::Processes { order, max };
        self.reading("metrics.list-processes", ask, fits, |all| {
            all.into_iter().map(process).collect()
        })
    }
}

fn mount(m: keepwell_node::mounts::Mount) -> wit::Mount {
    wit::Mount {
        path: m.path,
        device: m.device,
        file_system: m.file_system,
        read_only: m.read_only,
        total_bytes: m.total_bytes,
        used_bytes: m.used_bytes,
        available_bytes: m.available_bytes,
        total_inodes: m.total_inodes,
        free_inodes: m.free_inodes,
    }
}

fn network(n: keepwell_node::networks::Network) -> wit::Network {
    wit::Network {
        name: n.name,
        rx_bytes: n.rx_bytes,
        tx_bytes: n.tx_bytes,
        rx_packets: n.rx_packets,
        tx_packets: n.tx_packets,
        rx_errors: n.rx_errors,
        tx_errors: n.tx_errors,
        rx_dropped: n.rx_dropped,
        tx_dropped: n.tx_dropped,
    }
}

fn process(p: keepwell_node::processes::Process) -> wit::Process {
    wit::Process {
        pid: p.pid,
        name: p.name,
        cpu_ms: p.cpu_ms,
        resident_bytes: p.resident_bytes,
        started: p.started,
        open_files: p.open_files,
    }
}
