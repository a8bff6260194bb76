//! Body buffers: the bytes of a body together with the memory that is reserved for them.

use bytes::Bytes;

use super::body_budget::BodyReservation;

/// The bytes of a body and the reservation they count against, which live and end together.
#[derive(Debug)]
pub(crate) struct BodyBuffer {
    bytes: Vec<u8>,
    /// `None`: the body counts against no budget.
    reservation: Option<BodyReservation>,
}

/// The body outgrew its reservation, and no more memory is free.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl BodyBuffer {
    /// An empty buffer for about `expected` bytes.
    pub(crate) fn new(reservation: Option<BodyReservation>, expected: usize) -> Self {
        Self { bytes: Vec::with_capacity(expected), reservation }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Makes room for `length` bytes in all, and reserves memory for `spare` bytes besides; never waits for it.
    pub(crate) fn make_room(&mut self, length: usize, spare: usize) -> Result<(), OutOfMemory> {
        if !self.is_reserved(length + spare) {
            return Err(OutOfMemory);
        }
        self.bytes.reserve_exact(length.saturating_sub(self.bytes.len()));
        Ok(())
    }

    /// Appends a chunk; never waits for memory.
    pub(crate) fn extend(&mut self, chunk: &[u8]) -> Result<(), OutOfMemory> {
        let length = self.bytes.len() + chunk.len();
        if length > self.bytes.capacity() {
            // By half at least, so that bytes are rarely moved.
            let roomy = length.max(self.bytes.capacity() + self.bytes.capacity() / 2);
            let capacity = [roomy, length].into_iter().find(|bytes| self.is_reserved(*bytes)).ok_or(OutOfMemory)?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// Whether memory for this many bytes is reserved, or could be just now.
    fn is_reserved(&mut self, bytes: usize) -> bool {
        self.reservation.as_mut().is_none_or(|reservation| reservation.try_grow_to(bytes))
    }

    /// Replaces what was read so far by a whole body; never waits for memory.
    pub(crate) fn replace(&mut self, body: Bytes) -> Result<(), OutOfMemory> {
        if !self.is_reserved(body.len()) {
            return Err(OutOfMemory);
        }
        // Without a copy: nobody else has these bytes.
        self.bytes = Vec::from(body);
        Ok(())
    }

    /// The complete body. Its memory stays reserved until the last clone or slice of it is dropped.
    pub(crate) fn freeze(mut self) -> Bytes {
        let Some(reservation) = &mut self.reservation else { return Bytes::from(self.bytes) };
        self.bytes.shrink_to_fit();
        reservation.shrink_to(self.bytes.len());
        Bytes::from_owner(self)
    }
}

impl AsMut<[u8]> for BodyBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for BodyBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::http::body_budget::BodyBudget;

    const BUDGET: usize = 64 << 20;
    const MIB: &[u8] = &[b'x'; 1 << 20];

    #[tokio::test(start_paused = true)]
    async fn memory_is_reserved_for_as_long_as_any_part_of_a_body_lives() {
        let budget = BodyBudget::new(BUDGET);
        let mut buffer = BodyBuffer::new(Some(budget.reserve(10 << 20).await), 1 << 20);
        buffer.extend(MIB).unwrap();
        let body = buffer.freeze();
        let slice = body.slice(7..9);
        drop(body.clone());
        drop(body);
        assert!(budget.try_reserve(BUDGET).is_none(), "the slice keeps all of it");
        assert!(budget.try_reserve(63 << 20).is_some(), "and no more than was read");
        drop(slice);
        assert!(budget.try_reserve(BUDGET).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_grows_into_free_memory_and_never_waits() {
        let budget = BodyBudget::new(BUDGET);
        let held = budget.reserve(62 << 20).await;
        let mut buffer = BodyBuffer::new(Some(budget.reserve(1 << 20).await), 1 << 20);
        buffer.extend(MIB).unwrap();
        buffer.extend(MIB).unwrap();
        assert_eq!(buffer.extend(b"x"), Err(OutOfMemory));
        assert_eq!(buffer.len(), 2 << 20);
        let mut waiting = Box::pin(budget.reserve(2 << 20));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(buffer);
        assert!(waiting.now_or_never().is_some(), "an attempt that ends releases its memory");
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_with_the_whole_budget_may_be_larger() {
        let budget = BodyBudget::new(1 << 20);
        let mut buffer = BodyBuffer::new(Some(budget.reserve(512 << 20).await), 0);
        for _ in 0..3 {
            buffer.extend(MIB).unwrap();
        }
        let body = buffer.freeze();
        assert_eq!(body.len(), 3 << 20);
        assert!(budget.try_reserve(1).is_none());
    }

    #[test]
    fn a_whole_body_takes_the_place_of_its_parts_without_a_copy() {
        let budget = BodyBudget::new(BUDGET);
        let mut buffer = BodyBuffer::new(budget.try_reserve(36 << 20), 0);
        buffer.extend(b"part").unwrap();
        let whole = Bytes::from(MIB.to_vec());
        let address = whole.as_ptr();
        buffer.replace(whole).unwrap();
        let body = buffer.freeze();
        assert_eq!((body.as_ptr(), body.len()), (address, 1 << 20));
        assert!(budget.try_reserve(63 << 20).is_some(), "what the parts would have needed is released");
        let _held = budget.try_reserve(63 << 20).unwrap();
        drop(body);
        let mut buffer = BodyBuffer::new(budget.try_reserve(1), 0);
        assert_eq!(buffer.replace(Bytes::from(vec![0; 2 << 20])), Err(OutOfMemory));
    }
}
