//! The tour: the four keys a newcomer needs, shown below the runs until they are put away for good.

use std::path::Path;

use super::actions::Action;

/// The keys, and what they are for.
pub const KEYS: [(Action, &str); 4] = [
    (Action::Open, "opens what is selected; pressed again, it starts a plan"),
    (Action::NextNeedingMe, "goes to what waits for you: a hold, a question, a failed step"),
    (Action::Palette, "finds every action by name, and says why one is not possible"),
    (Action::Help, "lists the keys that work where you are"),
];

/// The file whose presence says that the tour is over.
const OVER: &str = "tour-is-over";

/// Whether the tour has not been put away yet. `HOLDPOINT_TOUR=off` is for terminals that are set up anew each time.
pub fn is_new(folder: &Path) -> bool {
    let off = matches!(std::env::var("HOLDPOINT_TOUR").as_deref(), Ok("off" | "no" | "0"));
    !off && !folder.join(OVER).exists()
}

/// Puts it away for good.
///
/// # Errors
/// The folder or the file in it cannot be made.
pub async fn end(folder: &Path) -> std::io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    tokio::fs::write(folder.join(OVER), b"").await
}
