//! When a task last called a capability. Asked of years of runs, so it is looked for in the bytes of
//! the records, from the newest back, and none is parsed.

use crate::error::Result;
use crate::reader::Reader;
use crate::schema::{column, number};
use keepwell_model::capability::Capability;
use rusqlite::params;

/// Inside a JSON text every quote is escaped, so no name or reason of a guest can hold these.
const MORE_CALLS_NOT: &str = "\"more\":0";

impl Reader {
    /// The newest call of a capability by a task, at or after `since_ms`: milliseconds since the Unix
    /// epoch. A run that made more calls than are kept one by one may have called anything.
    pub fn last_use(
        &self,
        task: &str,
        capability: Capability,
        since_ms: u64,
    ) -> Result<Option<u64>> {
        let function = format!("\"function\":\"{}.", capability.name());
        let sql = "SELECT at FROM entries WHERE task = ?1 AND kind = 'called' AND at >= ?2
             AND (instr(bytes, ?3) > 0 OR instr(bytes, ?4) = 0) ORDER BY idx DESC LIMIT 1";
        let at: Option<i64> = self.first(
            sql,
            params![
                task,
                column(since_ms),
                function.as_bytes(),
                MORE_CALLS_NOT.as_bytes()
            ],
        )?;
        Ok(at.map(number))
    }
}
