//! Stands between the protocol's library and the wire: takes out what is not for the library, in the order in which it came.
//!
//! The library gives every notification to a task of its own: they lose their order, and a server that floods has as many tasks as it likes.
//! Here a flood is taken as fast as the output takes it, and the server waits.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use rmcp::model::{ClientRequest, GetMeta, JsonRpcMessage, ServerNotification};
use rmcp::service::{RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::mpsc;

use super::router::{Router, Said};

/// Where a call's request carries the attempt's key.
pub(super) const KEY: &str = "holdpoint/attemptKey";

pub(super) struct Tap<T> {
    inner: T,
    router: Arc<Router>,
    /// What is still to be brought to the calls.
    due: VecDeque<(mpsc::Sender<Said>, Said)>,
}

impl<T> Tap<T> {
    pub fn new(inner: T, router: Arc<Router>) -> Self {
        Self { inner, router, due: VecDeque::new() }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Tap<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        mut item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        if let JsonRpcMessage::Request(request) = &mut item
            && matches!(request.request, ClientRequest::CallToolRequest(_))
        {
            // Before it is on the wire, so that what comes with its answer finds its way.
            let id = request.id.clone();
            let meta = request.request.get_meta_mut();
            let token = meta.get_progress_token();
            if let Some(key) = meta.get(KEY).and_then(serde_json::Value::as_str) {
                self.router.sent(key, token, id);
            }
        }
        self.inner.send(item)
    }

    /// Safe to cancel: what was taken out and not brought yet is kept.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            while let Some((to, _)) = self.due.front() {
                let to = to.clone();
                let place = to.reserve().await;
                let Some((_, said)) = self.due.pop_front() else { break };
                // A call that has ended hears nothing any more.
                if let Ok(place) = place {
                    place.send(said);
                }
            }
            match self.inner.receive().await? {
                JsonRpcMessage::Notification(message) => match message.notification {
                    ServerNotification::ProgressNotification(progress) => self.router.progress(&progress.params),
                    ServerNotification::LoggingMessageNotification(log) => {
                        let log = serde_json::to_value(&log.params).unwrap_or_default();
                        self.due.extend(self.router.log(&log));
                    }
                    ServerNotification::ToolListChangedNotification(_) => self.router.tools_have_changed(),
                    ServerNotification::CancelledNotification(_) => {
                        return Some(JsonRpcMessage::Notification(message));
                    }
                    // Of resources and prompts, which nobody here uses.
                    _ => {}
                },
                other => return Some(other),
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.inner.close()
    }
}
