//! Which examples are held out to test on, where a source has none for that: a rule, and no draw.

/// Share of the pictures that is held out to test on where a folder has none for that.
pub(crate) const HELD_OUT: f64 = 0.2;

/// Of each group of examples those `share` with the smallest digests of `seed` and the example's name: first the rest,
/// then what is held out, both in order. Of a group of two or more, one at least is held out, and one at least is not.
pub(crate) fn parts(groups: &[Vec<u32>], share: f64, seed: u64, name: impl Fn(u32) -> String) -> (Vec<u32>, Vec<u32>) {
    let (mut rest, mut held_out) = (Vec::new(), Vec::new());
    for group in groups {
        let rank = |&i: &u32| (l0_files::sha256(format!("{seed}/{}", name(i)).as_bytes()), i);
        let mut ranked: Vec<(String, u32)> = group.iter().map(rank).collect();
        ranked.sort();
        let count = (group.len() as f64 * share).round() as usize;
        let count = if group.len() < 2 { 0 } else { count.clamp(1, group.len() - 1) };
        held_out.extend(ranked[..count].iter().map(|(_, i)| *i));
        rest.extend(ranked[count..].iter().map(|(_, i)| *i));
    }
    rest.sort_unstable();
    held_out.sort_unstable();
    (rest, held_out)
}

/// What is to be said of it: so many test examples of so many in all.
pub(crate) fn note(held_out: usize, all: usize) -> String {
    format!("{held_out} of {all} examples held out to test on: the data has none for that")
}

/// The examples of each class.
pub(crate) fn by_class(labels: &[u32], classes: usize) -> Vec<Vec<u32>> {
    let mut groups = vec![Vec::new(); classes];
    labels.iter().zip(0..).for_each(|(&label, i)| groups[label as usize].push(i));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_each_class_is_held_out_and_more_examples_move_few() {
        let labels: Vec<u32> = (0..100).map(|i| i % 3).chain([3, 4, 4]).collect();
        let (rest, held_out) = parts(&by_class(&labels, 5), 0.2, 1, |i| i.to_string());
        let count = |of: &[u32], class| of.iter().filter(|&&i| labels[i as usize] == class).count();
        assert_eq!([0, 1, 2, 3, 4].map(|class| count(&held_out, class)), [7, 7, 7, 0, 1]);
        assert_eq!((rest.len() + held_out.len(), rest.is_sorted(), held_out.is_sorted()), (103, true, true));
        let (_, of_other_seed) = parts(&by_class(&labels, 5), 0.2, 2, |i| i.to_string());
        assert_ne!(held_out, of_other_seed);
        let (_, of_more) = parts(&[(0..110).collect()], 0.2, 1, |i| i.to_string());
        let (_, of_fewer) = parts(&[(0..100).collect()], 0.2, 1, |i| i.to_string());
        assert!(of_fewer.iter().filter(|i| of_more.contains(i)).count() >= 15);
    }
}
