"""Warns when little memory is left."""

import json

from wit_world import exports
from wit_world.exports import task
from wit_world.imports import core, metrics
from wit_world.imports.types import Severity
from componentize_py_types import Err

MANIFEST = {
    "schema": 1,
    "name": "memory-python",
    "version": "0.1.0",
    "description": "Watches the memory",
    "contract": "0.1.0",
    "tasks": [
        {
            "name": "memory-check",
            "description": "Warns when less than a share of the memory is available",
            "needs": [
                {"capability": "metrics", "reason": "to read how much memory is available"}
            ],
            "settings": [
                {
                    "name": "least-available",
                    "default": 0.1,
                    "schema": {"type": "number", "minimum": 0, "maximum": 1},
                    "help": "Share of the memory below which to warn",
                }
            ],
        }
    ],
}


class Task(exports.Task):
    def run(self, request: task.Request) -> task.Summary:
        least = float(json.loads(core.settings()).get("least-available", 0.1))
        try:
            memory = metrics.get_memory()
        except Err as refused:
            raise Err(task.Failure_Refused(refused.value))
        share = memory.available_bytes / max(memory.total_bytes, 1)
        core.log(core.Level.INFO, f"{share:.2f} of the memory is available")
        if share < least:
            title = f"only {share:.2f} of the memory is available"
            core.report_finding(
                core.Finding("memory-low", "memory", Severity.WARNING, title, "", [])
            )
        status = task.Status.WARNED if share < least else task.Status.DONE
        return task.Summary(status, f"{share:.2f} available", "{}")

    def review(self, request, before, done, not_done, applied) -> task.Summary:
        return before

    def describe(self) -> str:
        return json.dumps(MANIFEST)
