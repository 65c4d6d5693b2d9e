//! The Merkle tree of RFC 6962, section 2.1: hashes, frontier, and the check of an inclusion proof.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash of a leaf or of an inner node.
pub type Hash = [u8; 32];

/// The root of a tree without leaves: the hash of nothing.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0x00]);
    hasher.update(entry);
    hasher.finalize().into()
}

/// `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0x01]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// A complete subtree that a push just closed: `2^level` leaves from `index << level` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub level: u32,
    pub index: u64,
    pub hash: Hash,
}

/// The roots of the complete subtrees of a tree, left (largest) first: all that is needed to add
/// leaves and to know the root. Never more than 64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// A frontier of `size` leaves from the roots of its complete subtrees, largest first;
    /// `None` when their number does not fit.
    pub fn from_roots(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf and tells `closed` of each subtree it completes, the smallest first; the leaf
    /// itself (level 0) is not told.
    pub fn push(&mut self, leaf: Hash, mut closed: impl FnMut(Node)) {
        let mut hash = leaf;
        let mut index = self.size;
        let mut level = 0;
        while index & 1 == 1 {
            let Some(left) = self.roots.pop() else { break };
            hash = node_hash(&left, &hash);
            index >>= 1;
            level += 1;
            closed(Node { level, index, hash });
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else {
            return empty_root();
        };
        roots.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The largest power of two below `n`, for `n > 1`: where RFC 6962 splits a tree of `n` leaves.
pub const fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// Inclusion path of leaf `index` in a tree of `size`, the leaf's sibling first. `range` gives
/// the root over the leaves `start..end`.
pub fn inclusion_path<E>(
    index: u64,
    size: u64,
    range: &mut impl FnMut(u64, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let (mut start, mut end) = (0, size);
    let mut path = vec![];
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range(middle, end)?);
            end = middle;
        } else {
            path.push(range(start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The root that `path` leads to from leaf `index` of a tree of `size`; `None` when the path has
/// not the length such a tree gives it.
pub fn root_of_path(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A right edge that has no sibling rises until it is a right child.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    /// The leaves of the reference tree of the Certificate Transparency code.
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    /// Its roots at sizes 1 to 8.
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn leaves() -> Vec<Hash> {
        LEAVES
            .iter()
            .map(|hex| leaf_hash(&HEXLOWER.decode(hex.as_bytes()).unwrap()))
            .collect()
    }

    /// The definition in RFC 6962, word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            more => {
                let k = usize::try_from(split(more.len() as u64)).unwrap();
                node_hash(&naive(&more[..k]), &naive(&more[k..]))
            }
        }
    }

    #[test]
    fn reference_tree() {
        assert_eq!(
            HEXLOWER.encode(&empty_root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let mut frontier = Frontier::default();
        for (leaf, root) in leaves().into_iter().zip(ROOTS) {
            frontier.push(leaf, |_| {});
            assert_eq!(HEXLOWER.encode(&frontier.root()), root);
        }
    }

    /// PATH(0), PATH(3), PATH(4), PATH(6) of the worked example in RFC 6962, section 2.1.3.
    #[test]
    fn worked_example_of_the_rfc() {
        let d = &leaves()[..7];
        let (a, b, c, e, f, j) = (d[0], d[1], d[2], d[4], d[5], d[6]);
        let g = node_hash(&a, &b);
        let h = node_hash(&c, &d[3]);
        let i = node_hash(&e, &f);
        let k = node_hash(&g, &h);
        let l = node_hash(&i, &j);
        let path = |m| inclusion_path(m, 7, &mut range(d)).unwrap();
        assert_eq!(path(0), [b, h, l]);
        assert_eq!(path(3), [c, g, l]);
        assert_eq!(path(4), [f, j, k]);
        assert_eq!(path(6), [i, k]);
    }

    fn range(leaves: &[Hash]) -> impl FnMut(u64, u64) -> Result<Hash, ()> {
        |start, end| {
            let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
            Ok(naive(&leaves[range]))
        }
    }

    proptest! {
        #[test]
        fn frontier_is_the_naive_root(entries in proptest::collection::vec(any::<[u8; 4]>(), 0..200)) {
            let leaves: Vec<Hash> = entries.iter().map(|e| leaf_hash(e)).collect();
            let mut frontier = Frontier::default();
            let mut told = vec![];
            for leaf in &leaves {
                frontier.push(*leaf, |node| told.push(node));
            }
            prop_assert_eq!(frontier.root(), naive(&leaves));
            for node in told {
                let start = usize::try_from(node.index << node.level).unwrap();
                prop_assert_eq!(node.hash, naive(&leaves[start..start + (1 << node.level)]));
            }
        }

        #[test]
        fn proofs_hold_and_nothing_else_does(size in 1usize..150, pick: proptest::sample::Index, other: proptest::sample::Index) {
            let leaves: Vec<Hash> = (0..size).map(|i| leaf_hash(&i.to_le_bytes())).collect();
            let (index, other) = (pick.index(size), other.index(size));
            let (at, n) = (index as u64, size as u64);
            let path = inclusion_path(at, n, &mut range(&leaves)).unwrap();
            let root = naive(&leaves);
            prop_assert_eq!(root_of_path(leaves[index], at, n, &path), Some(root));
            prop_assert_eq!(root_of_path(leaves[index], n, n, &path), None);
            if other != index {
                prop_assert_ne!(root_of_path(leaves[other], at, n, &path), Some(root));
                prop_assert_ne!(root_of_path(leaves[index], other as u64, n, &path), Some(root));
            }
            let mut long = path.clone();
            long.push(root);
            prop_assert_eq!(root_of_path(leaves[index], at, n, &long), None);
            if let Some((_, short)) = path.split_last() {
                prop_assert_eq!(root_of_path(leaves[index], at, n, short), None);
            }
        }
    }
}
