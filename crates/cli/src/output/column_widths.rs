//! The widths of columns that share a line.

/// A column that shares a line with others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// The width at which its cells and its name need one line each.
    pub(crate) natural: usize,
    /// The width that it has at least.
    pub(crate) least: usize,
    /// What a usual cell has to show, in columns of the terminal.
    pub(crate) content: f64,
}

/// The widths of columns that have so much room together. What is there beyond their least widths goes to those whose
/// cells need the most lines.
pub(crate) fn widths(shares: &[Share], room: usize) -> Vec<usize> {
    let natural: usize = shares.iter().map(|share| share.natural).sum();
    if natural <= room {
        return shares.iter().map(|share| share.natural).collect();
    }
    let mut widths: Vec<_> = shares.iter().map(|share| share.least.min(share.natural)).collect();
    for _ in widths.iter().sum::<usize>()..room {
        let lines = |at: usize| shares[at].content / widths[at].max(1) as f64;
        let narrow = (0..widths.len()).filter(|at| widths[*at] < shares[*at].natural);
        let Some(neediest) = narrow.max_by(|a, b| lines(*a).total_cmp(&lines(*b))) else { break };
        widths[neediest] += 1;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_goes_to_the_columns_that_need_most_lines() {
        let id = Share { natural: 36, least: 12, content: 36.0 };
        let number = Share { natural: 5, least: 5, content: 1.0 };
        let message = Share { natural: 6700, least: 12, content: 300.0 };
        let intent = Share { natural: 40, least: 12, content: 25.0 };
        assert_eq!(widths(&[id, number, message, intent], 90), [12, 5, 61, 12]);
        assert_eq!(widths(&[id, number, intent], 81), [36, 5, 40]);
        // Nothing is narrower than it may be, even where there is no room for it.
        assert_eq!(widths(&[id, number, message], 20), [12, 5, 12]);
        assert_eq!(widths(&[id, id], 50), [25, 25]);
    }
}
