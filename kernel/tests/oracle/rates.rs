//! What tc says of what holds traffic back.

use netd_model::IfName;
use netd_model::desired::Bucket;
use serde_json::Value;

use super::{run, text};

/// The bucket at the root of a link, of what `tc -j qdisc show` lists.
pub(super) fn bucket(queues: &[Value], link: &IfName) -> Option<Bucket> {
    let found = queues.iter().find(|queue| {
        text(queue, "dev") == link.as_str() && queue["root"] == true && text(queue, "kind") == "tbf"
    })?;
    let options = &found["options"];
    let number = |key: &str| options[key].as_u64();
    let (rate, burst) = (number("rate")?, number("burst")?);
    // tc tells of the queue by how long one waits in it, in microseconds (`tbf_print_opt`, tc/q_tbf.c).
    let queue = number("lat")? * rate / 1_000_000 + burst;
    Some(Bucket {
        bytes_per_second: rate,
        burst_bytes: rounded(burst),
        queue_bytes: rounded(queue),
    })
}

/// tc counts in microseconds and ticks: to the thousand is as near as it comes.
fn rounded(bytes: u64) -> u32 {
    u32::try_from((bytes + 500) / 1_000 * 1_000).unwrap()
}

/// The device that all goes through which comes in by a link.
pub(super) fn way_in(queues: &[Value], link: &IfName) -> Option<IfName> {
    let has_filters = queues
        .iter()
        .any(|queue| text(queue, "dev") == link.as_str() && text(queue, "kind") == "ingress");
    // A link that was deleted since the queues were listed has none.
    let show = format!("tc filter show dev {link} ingress || ! ip link show dev {link}");
    let listed = has_filters.then(|| run("sh", &["-c", &show]))?;
    let fits_all = listed.contains("match 00000000/00000000 at 0");
    assert!(fits_all || listed.trim().is_empty(), "{listed}");
    let (_, after) = listed.split_once("mirred (Egress Redirect to device ")?;
    let (device, _) = after.split_once(')')?;
    IfName::new(device).ok()
}
