//! A plugin that opens a connection, so that its component imports sockets.

use keepwell_sdk::prelude::*;

#[derive(Debug, Deserialize)]
struct Connect {}

impl Task for Connect {
    const NAME: &str = "connect";
    const ABOUT: &str = "Opens a connection";

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let open = std::net::TcpStream::connect("127.0.0.1:80").is_ok();
        Ok(Summary::done(format!("open: {open}")))
    }
}

keepwell_sdk::plugin!("connect", "Opens a connection", [Connect]);
