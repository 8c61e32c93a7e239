//! What files of this format may hold.

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A plain network, ready for use.
    Model,
    /// A network with its gates.
    Gated,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Model, Self::Gated];

    /// What files call it.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Gated => "checkpoint",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Model => "plain network",
            Self::Gated => "gated network",
        })
    }
}
