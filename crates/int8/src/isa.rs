//! The instruction set that sums are computed by.

/// An instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// VNNI of AVX-512, on vectors of 256 bits, of which there are 32.
    Vnni,
    /// The same instructions without AVX-512, and 16 vectors.
    AvxVnni,
    /// AVX2, which multiplies numbers of 16 bits: four times the instructions, and no sum that overflows.
    Avx2,
    /// What the compiler makes of plain loops.
    Portable,
}

impl Isa {
    /// What this CPU has, the fastest first.
    pub fn available() -> Vec<Self> {
        [Self::Vnni, Self::AvxVnni, Self::Avx2, Self::Portable].into_iter().filter(|isa| isa.is_there()).collect()
    }

    /// The fastest that this CPU has.
    pub fn best() -> Self {
        Self::available()[0]
    }

    #[cfg(target_arch = "x86_64")]
    pub(crate) fn is_there(self) -> bool {
        match self {
            Self::Vnni => {
                is_x86_feature_detected!("avx512vnni")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx2")
            }
            Self::AvxVnni => is_x86_feature_detected!("avxvnni") && is_x86_feature_detected!("avx2"),
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            Self::Portable => true,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn is_there(self) -> bool {
        self == Self::Portable
    }
}
