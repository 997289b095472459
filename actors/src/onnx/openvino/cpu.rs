//! What OpenVINO makes of this processor. Set-up (`xtask`) reads this file too, so that what is fetched is what is used.

/// Whether it has instructions for bf16 that OpenVINO uses. AVX512-BF16 tells: processors with AMX have it too, and oneDNN, which
/// computes for OpenVINO, uses AMX only beside it. With AVX-512 alone bf16 is emulated, five times slower than fp32.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_bf16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

/// OpenVINO is used on x86_64 only.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const fn has_bf16() -> bool {
    false
}
