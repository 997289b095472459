//! Positions as few bytes, and the table by which a device expands them into network input by itself.
//!
//! Planes are mostly zeros and ones: 9x9 Quoridor has 2205 numbers (8.8 kB) of which 370 can differ between positions. Where
//! the way to the device costs, a position travels as bits, and the network's graph picks each of its numbers out of them.

/// How a game's positions are packed for one encoding: what [`Game::pack`](crate::Game::pack) writes, and where each number
/// of the planes is found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Bytes of one position.
    pub bytes: usize,
    /// Where each number of the planes comes from, in the order of [`Game::encode`](crate::Game::encode). A number that is
    /// the same in all positions comes from a bit that never changes.
    pub sources: Vec<Source>,
}

/// Where one number of the planes is found among packed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// 0 or 1: this bit, counted from the least significant of byte 0.
    Bit(usize),
    /// 0 to 255: this byte.
    Byte(usize),
}

impl Packing {
    /// Writes the planes of a packed position, overwriting all of `out`: what a device does.
    ///
    /// # Panics
    /// When `packed` or `out` is not as long as this packing says.
    pub fn unpack(&self, packed: &[u8], out: &mut [f32]) {
        assert_eq!((packed.len(), out.len()), (self.bytes, self.sources.len()), "bytes and numbers of one position");
        for (number, source) in out.iter_mut().zip(&self.sources) {
            *number = f32::from(match *source {
                Source::Bit(bit) => packed[bit / 8] >> (bit % 8) & 1,
                Source::Byte(byte) => packed[byte],
            });
        }
    }
}

/// Sets bit `bit` of `packed`, counted as [`Source::Bit`] does.
pub(crate) fn set_bit(packed: &mut [u8], bit: usize) {
    packed[bit / 8] |= 1 << (bit % 8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_bytes_become_numbers() {
        let sources = vec![Source::Byte(1), Source::Bit(0), Source::Bit(7), Source::Bit(16), Source::Byte(0)];
        let packing = Packing { bytes: 3, sources };
        let mut packed = [0, 200, 0];
        set_bit(&mut packed, 7);
        set_bit(&mut packed, 16);
        let mut out = [f32::NAN; 5];
        packing.unpack(&packed, &mut out);
        assert_eq!(out, [200.0, 0.0, 1.0, 1.0, 128.0]);
    }
}
