//! Names of the variables that an attempt finds in its environment.

/// The run's id.
pub(super) const RUN_ID: &str = "HOLDPOINT_RUN_ID";
/// The step's id.
pub(super) const STEP_ID: &str = "HOLDPOINT_STEP_ID";
/// The attempt's number.
pub(super) const ATTEMPT: &str = "HOLDPOINT_ATTEMPT";
/// The attempt's key; also what tells its processes from those of others.
pub(super) const ATTEMPT_KEY: &str = "HOLDPOINT_ATTEMPT_KEY";
/// The plan's folder.
pub(super) const PLAN_DIR: &str = "HOLDPOINT_PLAN_DIR";
/// Where a result may be written.
pub(super) const RESULT: &str = "HOLDPOINT_RESULT";
/// Which engine started it; by this the warden finds what is left when that engine dies.
pub(super) const ENGINE: &str = "HOLDPOINT_ENGINE";
