//! From data to parity and back, by the `reed-solomon-simd` crate. It detects no errors: only
//! payloads whose digest is right may be given to it.

use crate::error::{Error, Result};
use crate::scheme::Scheme;

/// The payload length for that many bytes: even, as the codec wants it, and never nothing.
pub(crate) fn payload_len(bytes: usize, scheme: Scheme) -> usize {
    bytes.div_ceil(scheme.k()).max(1).next_multiple_of(2)
}

/// Cuts data into k payloads, the last filled up with zeros, and adds m of parity.
pub(crate) fn encode(data: &[u8], scheme: Scheme) -> Result<Vec<Vec<u8>>> {
    let each = payload_len(data.len(), scheme);
    let mut shards: Vec<Vec<u8>> = (0..scheme.k())
        .map(|index| {
            let begin = (index * each).min(data.len());
            let end = (begin + each).min(data.len());
            let mut shard = data[begin..end].to_vec();
            shard.resize(each, 0);
            shard
        })
        .collect();
    shards.extend(parity(&shards, scheme)?);
    Ok(shards)
}

fn parity(data: &[Vec<u8>], scheme: Scheme) -> Result<Vec<Vec<u8>>> {
    match (scheme.k(), scheme.m()) {
        (_, 0) => Ok(vec![]),
        (1, m) => Ok(vec![data[0].clone(); m]),
        (k, m) => reed_solomon_simd::encode(k, m, data).map_err(failed),
    }
}

/// All payloads of a group, from at least k of them by their index.
pub(crate) fn complete(some: &[(usize, Vec<u8>)], scheme: Scheme) -> Result<Vec<Vec<u8>>> {
    let mut data = data_of(some, scheme)?;
    let more = parity(&data, scheme)?;
    data.extend(more);
    Ok(data)
}

/// The k data payloads, from at least k of any.
pub(crate) fn data_of(some: &[(usize, Vec<u8>)], scheme: Scheme) -> Result<Vec<Vec<u8>>> {
    let k = scheme.k();
    let at = |index: usize| some.iter().find(|(at, _)| *at == index).map(|(_, it)| it);
    let missing: Vec<usize> = (0..k).filter(|index| at(*index).is_none()).collect();
    let mut data: Vec<Vec<u8>> = (0..k)
        .map(|index| at(index).cloned().unwrap_or_default())
        .collect();
    match (missing.as_slice(), k) {
        ([], _) => {}
        ([_], 1) => {
            let (_, copy) = some.first().ok_or_else(|| failed("no copy is left"))?;
            data[0].clone_from(copy);
        }
        _ => {
            let (first, second): (Vec<_>, Vec<_>) = some.iter().partition(|(index, _)| *index < k);
            let original = first.iter().map(|(index, bytes)| (*index, bytes));
            let recovery = second.iter().map(|(index, bytes)| (*index - k, bytes));
            let mut restored =
                reed_solomon_simd::decode(k, scheme.m(), original, recovery).map_err(failed)?;
            for index in missing {
                data[index] = restored
                    .remove(&index)
                    .ok_or_else(|| failed("a shard was not restored"))?;
            }
        }
    }
    Ok(data)
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::damaged("a group", &why)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Any k of the shards are the data again; all of them come back as they were.
        #[test]
        fn any_k_are_enough(
            data in proptest::collection::vec(proptest::num::u8::ANY, 0..2_000),
            k in 1usize..6, m in 0usize..5, order in proptest::num::u64::ANY,
        ) {
            let scheme = Scheme::new(k, m).unwrap();
            let all = encode(&data, scheme).unwrap();
            let mut some: Vec<(usize, Vec<u8>)> = all.iter().cloned().enumerate().collect();
            let mut order = order;
            while some.len() > k {
                order = order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = usize::try_from(order >> 33).unwrap() % some.len();
                some.swap_remove(at);
            }
            proptest::prop_assert_eq!(complete(&some, scheme).unwrap(), all);
            let mut back = data_of(&some, scheme).unwrap().concat();
            back.truncate(data.len());
            proptest::prop_assert_eq!(back, data);
        }
    }
}
