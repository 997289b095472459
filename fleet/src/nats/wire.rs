//! Receipts and reports as messages: one byte of version, then postcard.

use serde::{Serialize, de::DeserializeOwned};

use crate::{ledger::Receipt, link::Report};

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;

/// Longest message of receipts. With more, reasons for refusals are left out: a worker may have had many outboxes.
const MOST_BYTES: usize = 256 << 10;

pub(super) fn receipts(mut receipts: Vec<Receipt>) -> Vec<u8> {
    let bytes = write(&receipts);
    if bytes.len() <= MOST_BYTES {
        return bytes;
    }
    receipts.iter_mut().for_each(|receipt| receipt.reason = None);
    write(&receipts)
}

pub(super) fn report(report: Report) -> Vec<u8> {
    write(&report)
}

/// What a message says; why it says nothing.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&VERSION, content)) => postcard::from_bytes(content).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!(
            "it has format {version}, this program reads {VERSION}; run the same version of selfplayd on the worker and beside the trainer"
        )),
        None => Err("it is empty".to_owned()),
    }
}

fn write(value: &impl Serialize) -> Vec<u8> {
    // Plain texts and numbers: nothing that postcard refuses.
    postcard::to_extend(value, vec![VERSION]).expect("plain values")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Origin;

    fn receipt(number: u16, reason: usize) -> Receipt {
        let [high, low] = number.to_be_bytes();
        let origin = Origin::new(std::array::from_fn(|place| if place == 0 { high } else { low }));
        Receipt { origin, done: u64::MAX, refused: 3, reason: Some("x".repeat(reason)) }
    }

    #[test]
    fn they_come_back_as_they_were() {
        let sent = vec![receipt(1, 5), receipt(2, 0)];
        assert_eq!(read::<Vec<Receipt>>(&receipts(sent.clone())).unwrap(), sent);
        let sent = Report { created: u64::MAX, floor: 0, last: 7 };
        assert_eq!(read::<Report>(&report(sent)).unwrap(), sent);
    }

    #[test]
    fn receipts_of_many_outboxes_fit_into_a_message() {
        let sent: Vec<_> = (0..1_000).map(|number| receipt(number, 500)).collect();
        let bytes = receipts(sent);
        assert!(bytes.len() < MOST_BYTES);
        let came = read::<Vec<Receipt>>(&bytes).unwrap();
        assert!(came.len() == 1_000 && came.iter().all(|receipt| receipt.reason.is_none() && receipt.refused == 3));
    }

    #[test]
    fn what_is_none_is_refused() {
        for bytes in [&b""[..], b"\x01", b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"{}"] {
            assert!(read::<Vec<Receipt>>(bytes).is_err(), "{bytes:?}");
        }
        assert!(read::<Report>(b"\x02abc").unwrap_err().contains("it has format 2"));
    }
}
