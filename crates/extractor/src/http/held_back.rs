//! The requests that wait because their own resource, such as a mailbox, throttles: meanwhile others can be made.

use tokio::sync::watch;

/// How many requests wait for their own resource.
#[derive(Debug, Default)]
pub(crate) struct HeldBack(watch::Sender<usize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct WaitingRequest<'a>(&'a HeldBack);

impl HeldBack {
    /// Notes that a request waits.
    pub(crate) fn enter(&self) -> WaitingRequest<'_> {
        self.0.send_modify(|waiting| *waiting += 1);
        WaitingRequest(self)
    }

    /// The number, now and later.
    pub(crate) fn subscribe(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }
}

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|waiting| *waiting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_are_counted_until_they_go_on() {
        let held_back = HeldBack::default();
        let waiting = held_back.subscribe();
        let (one, two) = (held_back.enter(), held_back.enter());
        assert_eq!(*waiting.borrow(), 2);
        drop(one);
        assert_eq!((*waiting.borrow(), waiting.has_changed().unwrap()), (1, true));
        drop(two);
        assert_eq!(*waiting.borrow(), 0);
    }
}
