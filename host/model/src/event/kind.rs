//! Of each event, what it is called and whether the world waits for it.

use super::Event;

impl Event {
    /// The `kind` in the encoding, for filters.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NodeCreated { .. } => "node-created",
            Self::PluginInstalled { .. } => "plugin-installed",
            Self::PluginRemoved { .. } => "plugin-removed",
            Self::PluginSwitched { .. } => "plugin-switched",
            Self::PluginHeld { .. } => "plugin-held",
            Self::PluginAccepted { .. } => "plugin-accepted",
            Self::PluginRejected { .. } => "plugin-rejected",
            Self::PluginRolledBack { .. } => "plugin-rolled-back",
            Self::PluginProven { .. } => "plugin-proven",
            Self::PluginCutOff { .. } => "plugin-cut-off",
            Self::PluginRefused { .. } => "plugin-refused",
            Self::PluginQuarantined { .. } => "plugin-quarantined",
            Self::TrustChanged { .. } => "trust-changed",
            Self::TaskPaused { .. } => "task-paused",
            Self::TaskResumed { .. } => "task-resumed",
            Self::TaskSkip { .. } => "task-skip",
            Self::DaemonStarted { .. } => "daemon-started",
            Self::DaemonEnded => "daemon-ended",
            Self::ConfigReloaded { .. } => "config-reloaded",
            Self::TaskSkipUsed { .. } => "task-skip-used",
            Self::RunAsked { .. } => "run-asked",
            Self::BackfillAsked { .. } => "backfill-asked",
            Self::AskSettled { .. } => "ask-settled",
            Self::ScheduleBegan { .. } => "schedule-began",
            Self::SlotMissed { .. } => "slot-missed",
            Self::SlotSkipped { .. } => "slot-skipped",
            Self::WindowExtended { .. } => "window-extended",
            Self::SlotPrioritized { .. } => "slot-prioritized",
            Self::RunAdjusted { .. } => "run-adjusted",
            Self::SlotDoneByHand { .. } => "slot-done-by-hand",
            Self::Pruned { .. } => "pruned",
            Self::RunDue { .. } => "run-due",
            Self::RunGranted { .. } => "run-granted",
            Self::WorkerStarted { .. } => "worker-started",
            Self::Called { .. } => "called",
            Self::Refused { .. } => "refused",
            Self::Logged { .. } => "logged",
            Self::Found { .. } => "found",
            Self::Measured { .. } => "measured",
            Self::Checkpointed { .. } => "checkpointed",
            Self::Looked { .. } => "looked",
            Self::PlanSealed { .. } => "plan-sealed",
            Self::ApprovalAsked { .. } => "approval-asked",
            Self::ApprovalAnswered { .. } => "approval-answered",
            Self::ApprovalRefused { .. } => "approval-refused",
            Self::Approved { .. } => "approved",
            Self::GlassBroken { .. } => "glass-broken",
            Self::GlassRefused { .. } => "glass-refused",
            Self::GlassAcknowledged { .. } => "glass-acknowledged",
            Self::Intended { .. } => "intended",
            Self::Outcome { .. } => "outcome",
            Self::Stopped { .. } => "stopped",
            Self::Reviewed { .. } => "reviewed",
            Self::UndoIntended { .. } => "undo-intended",
            Self::UndoOutcome { .. } => "undo-outcome",
            Self::Interrupted { .. } => "interrupted",
            Self::RunResumed { .. } => "run-resumed",
            Self::RunEnded { .. } => "run-ended",
            Self::CommitArmed { .. } => "commit-armed",
            Self::CommitConfirmed { .. } => "commit-confirmed",
            Self::CommitReverted { .. } => "commit-reverted",
            Self::CommitOvertaken { .. } => "commit-overtaken",
            Self::StateHeld { .. } => "state-held",
            Self::StateIntended { .. } => "state-intended",
            Self::StateOutcome { .. } => "state-outcome",
            Self::StateCleared { .. } => "state-cleared",
            Self::ExpiryIntended { .. } => "expiry-intended",
            Self::Expired { .. } => "expired",
        }
    }

    /// Whether the world must not change before this is on disk.
    pub const fn durable_first(&self) -> bool {
        match self {
            // A plan without actions changes nothing and needs no waiting for the disk.
            Self::PlanSealed { actions, .. } => *actions > 0,
            Self::RunDue { .. }
            | Self::ApprovalAsked { .. }
            | Self::ApprovalAnswered { .. }
            | Self::ApprovalRefused { .. }
            | Self::Approved { .. }
            | Self::GlassBroken { .. }
            | Self::GlassRefused { .. }
            | Self::GlassAcknowledged { .. }
            | Self::Intended { .. }
            | Self::UndoIntended { .. }
            | Self::CommitArmed { .. }
            | Self::CommitConfirmed { .. }
            | Self::CommitReverted { .. }
            | Self::CommitOvertaken { .. }
            | Self::StateIntended { .. }
            | Self::StateCleared { .. }
            | Self::ExpiryIntended { .. }
            | Self::RunResumed { .. }
            | Self::RunEnded { .. }
            | Self::NodeCreated { .. }
            | Self::PluginInstalled { .. }
            | Self::PluginRemoved { .. }
            | Self::PluginSwitched { .. }
            | Self::PluginHeld { .. }
            | Self::PluginAccepted { .. }
            | Self::PluginRejected { .. }
            | Self::PluginRolledBack { .. }
            | Self::PluginProven { .. }
            | Self::PluginCutOff { .. }
            | Self::PluginRefused { .. }
            | Self::PluginQuarantined { .. }
            | Self::TrustChanged { .. }
            | Self::TaskPaused { .. }
            | Self::TaskResumed { .. }
            | Self::TaskSkip { .. }
            | Self::DaemonStarted { .. }
            | Self::DaemonEnded
            | Self::ConfigReloaded { .. }
            | Self::TaskSkipUsed { .. }
            | Self::RunAsked { .. }
            | Self::BackfillAsked { .. }
            | Self::AskSettled { .. }
            | Self::ScheduleBegan { .. }
            | Self::SlotMissed { .. }
            | Self::SlotSkipped { .. }
            | Self::WindowExtended { .. }
            | Self::SlotPrioritized { .. }
            | Self::RunAdjusted { .. }
            | Self::SlotDoneByHand { .. }
            | Self::Pruned { .. }
            | Self::Interrupted { .. } => true,
            Self::RunGranted { .. }
            | Self::WorkerStarted { .. }
            | Self::Called { .. }
            | Self::Refused { .. }
            | Self::Logged { .. }
            | Self::Found { .. }
            | Self::Measured { .. }
            | Self::Checkpointed { .. }
            | Self::Looked { .. }
            | Self::Outcome { .. }
            | Self::Stopped { .. }
            | Self::Reviewed { .. }
            | Self::UndoOutcome { .. }
            | Self::StateHeld { .. }
            | Self::StateOutcome { .. }
            | Self::Expired { .. } => false,
        }
    }
}
