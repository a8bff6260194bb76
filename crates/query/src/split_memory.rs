//! A memory pool that bounds what can be spilled apart from what cannot.

use std::fmt;

use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    FairSpillPool, GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// A pool of two: sorts and aggregates spill early, and joins, which cannot, still hold what the data needs.
#[derive(Debug)]
pub(crate) struct SplitMemoryPool {
    /// For consumers that can spill.
    spillable: FairSpillPool,
    /// For all others.
    unspillable: GreedyMemoryPool,
}

impl SplitMemoryPool {
    /// A pool with these bounds, in bytes.
    pub(crate) fn new(spillable: usize, unspillable: usize) -> Self {
        Self { spillable: FairSpillPool::new(spillable), unspillable: GreedyMemoryPool::new(unspillable) }
    }

    fn pool_of(&self, consumer: &MemoryConsumer) -> &dyn MemoryPool {
        if consumer.can_spill() { &self.spillable } else { &self.unspillable }
    }
}

impl fmt::Display for SplitMemoryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(spillable: {}, unspillable: {})", self.name(), self.spillable, self.unspillable)
    }
}

impl MemoryPool for SplitMemoryPool {
    fn name(&self) -> &str {
        "split"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool_of(consumer).register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool_of(consumer).unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.pool_of(reservation.consumer()).grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.pool_of(reservation.consumer()).shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.pool_of(reservation.consumer()).try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.spillable.reserved() + self.unspillable.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        match (self.spillable.memory_limit(), self.unspillable.memory_limit()) {
            (MemoryLimit::Finite(spillable), MemoryLimit::Finite(unspillable)) => {
                MemoryLimit::Finite(spillable.saturating_add(unspillable))
            }
            _ => MemoryLimit::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_can_be_spilled_and_what_cannot_have_a_bound_each() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SplitMemoryPool::new(100, 1_000));
        assert!(matches!(pool.memory_limit(), MemoryLimit::Finite(1_100)));
        let sort = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        let join = MemoryConsumer::new("join").register(&pool);
        join.try_grow(1_000).unwrap();
        assert!(join.try_grow(1).is_err(), "the join has its bound");
        sort.try_grow(100).unwrap();
        assert!(sort.try_grow(1).is_err(), "the sort has its own");
        assert_eq!(pool.reserved(), 1_100);
        let other = MemoryConsumer::new("other sort").with_can_spill(true).register(&pool);
        sort.shrink(50);
        assert!(sort.try_grow(1).is_err(), "sorts share theirs");
        other.try_grow(50).unwrap();
        drop((other, join));
        sort.try_grow(50).unwrap();
        assert_eq!(pool.reserved(), 100);
    }
}
