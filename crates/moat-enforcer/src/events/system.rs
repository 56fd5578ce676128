//! Events of Moat about itself: losses, gaps, what could not be done as asked.

use jiff::Timestamp;
use moat_event::{Event, EventAction, EventType, Labels, Loss, LossStage, Severity, Workload};
use uuid::Uuid;

/// An event of type `System`, about the node.
pub fn event(node: &str, severity: Severity, message: String) -> Event {
    Event {
        timestamp: Timestamp::now(),
        event_type: EventType::System,
        policy_name: None,
        pod_name: None,
        container_name: None,
        file_path: None,
        action: EventAction::Alerted,
        severity,
        message,
        id: Uuid::now_v7().to_string(),
        node: node.to_owned(),
        namespace: None,
        workload_kind: None,
        workload_name: None,
        labels: Labels::new(),
        container_id: None,
        image: None,
        image_digest: None,
        rule: None,
        reason: None,
        generation: None,
        process: None,
        file_operation: None,
        file_source: None,
        peer: None,
        syscall: None,
        capability: None,
        count: 1,
        loss: None,
    }
}

/// The same event, about this container.
pub fn about(mut event: Event, workload: &Workload) -> Event {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    event.pod_name = some(&workload.pod);
    event.container_name = some(&workload.container);
    event.namespace = some(&workload.namespace);
    event.workload_kind = some(&workload.kind);
    event.workload_name = some(&workload.name);
    event.labels = some_labels(&workload.labels);
    event.container_id = some(&workload.container_id);
    event.image = some(&workload.image);
    event.image_digest = some(&workload.image_digest);
    event
}

/// Bytes of labels that an event carries. Whoever starts a container chooses its labels, and shall not make its events too
/// large to be sent.
const LABELS_KEPT: usize = 8 * 1024;

/// The first labels, as many as fit.
fn some_labels(labels: &Labels) -> Labels {
    let mut left = LABELS_KEPT;
    let fits = |(key, value): &(&String, &String)| {
        let size = key.len() + value.len();
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    };
    labels.iter().take_while(fits).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// `events` more were lost at that stage.
pub fn loss(node: &str, stage: LossStage, events: u64) -> Event {
    let place = match stage {
        LossStage::RingBuffer => "in the kernel's ring buffer, which was full",
        LossStage::NotificationQueue => "in the kernel's notification queue, which overflowed",
        LossStage::Pipeline => "between the kernel and enrichment, whose queue was full",
        LossStage::Subscriber => "on the way to readers of the live stream that were too slow",
        LossStage::Output => "on the way to the event output, which could not be written in time",
        LossStage::Spool => "on the way to the console, which could not be reached for too long",
        LossStage::Observation => {
            let noun = if events == 1 { "act is" } else { "acts are" };
            let message = format!(
                "{events} {noun} missing in the console's inventory: containers did more different things than are told."
            );
            let mut event = event(node, Severity::Info, message);
            event.loss = Some(Loss { stage, events });
            return event;
        }
    };
    let noun = if events == 1 { "event was" } else { "events were" };
    let mut event = event(node, Severity::High, format!("{events} {noun} lost {place}."));
    event.loss = Some(Loss { stage, events });
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_make_an_event_too_large() {
        let label = |number: usize| (format!("{number:04}"), "\u{1}".repeat(996));
        let workload = Workload { labels: (0..1_000).map(label).collect(), ..Workload::default() };
        let event = about(event("node", Severity::Info, String::new()), &workload);
        assert_eq!(event.labels.len(), 8);
        assert_eq!(event.labels.first_key_value(), Some((&label(0).0, &label(0).1)));
        let few = Workload { labels: (0..2).map(label).collect(), ..Workload::default() };
        assert_eq!(about(event, &few).labels, few.labels);
    }
}
