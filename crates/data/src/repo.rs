//! Where the files of known data sets are on the Hub, what is in them, and what their digests are.

use crate::{Benchmark, cifar};

/// What is known about a data set that comes in files.
#[derive(Debug, Clone)]
pub(crate) struct Repo {
    pub(crate) name: Benchmark,
    /// Owner and name on the Hub.
    pub(crate) id: &'static str,
    /// The folder of its parquet files there.
    pub(crate) config: &'static str,
    /// The columns of its parquet files.
    pub(crate) image: &'static str,
    pub(crate) label: &'static str,
    /// How many images there are to learn from and to test on.
    pub(crate) images: [usize; 2],
    /// The [contents](crate::standing) of both, where they are known.
    pub(crate) contents: Option<[&'static str; 2]>,
    /// sha256 of the training and the test file, where it is known.
    pub(crate) sha256: Option<[&'static str; 2]>,
    /// The format of its original files, if that is CIFAR's; else it is IDX.
    pub(crate) binary: Option<cifar::Format>,
}

/// Train or test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Train,
    Test,
}

impl Part {
    pub(crate) const BOTH: [Self; 2] = [Self::Train, Self::Test];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }

    /// This part's of the two.
    pub(crate) fn of<T>(self, [train, test]: [T; 2]) -> T {
        match self {
            Self::Train => train,
            Self::Test => test,
        }
    }
}

impl Repo {
    pub(crate) fn of(name: Benchmark) -> Option<Self> {
        match name {
            Benchmark::Mnist => Some(Self::mnist()),
            Benchmark::Cifar10 => Some(Self::cifar10()),
            Benchmark::Cifar100 => Some(Self::cifar100()),
            Benchmark::Digits => None,
        }
    }

    fn mnist() -> Self {
        Self {
            name: Benchmark::Mnist,
            id: "ylecun/mnist",
            config: "mnist",
            image: "image",
            label: "label",
            images: [60_000, 10_000],
            contents: Some([
                "b9178e97d5f769cedfff083cf4473369612d76578710150bd53b999d26d8fec4",
                "c01fc4f3b2358e133fd9ac6335a3f6e51e1a086575b6396988ed4363298cabb0",
            ]),
            sha256: Some([
                "cceccb314d9f1eb486ec4a5a6c97a4cb963e77ad387846f72cc39654adfd5956",
                "f17438540ccd8d9846783c1160cd0358dad384ba7e6e0bd491c518f600d9ded1",
            ]),
            binary: None,
        }
    }

    fn cifar10() -> Self {
        Self {
            name: Benchmark::Cifar10,
            id: "uoft-cs/cifar10",
            config: "plain_text",
            image: "img",
            label: "label",
            images: [50_000, 10_000],
            contents: Some([
                "7880dcd01f9612d719cb98c89e1a367decd707a1b72760b41aebedb2753feded",
                "bda4bc0fc01b5fbea0ecc6022af311fb6bbdc3729d978383ed216b7b5e3eaf6b",
            ]),
            sha256: Some([
                "03759810241c0d147aa6a29090e3b02bd0361186713c39b0ae4c0e5903e7e175",
                "5bda7f72f987c80a08d4e7d1b3e95997eea9fca3d931f3407304fac5078c4cdf",
            ]),
            binary: Some(cifar::Format::Cifar10),
        }
    }

    fn cifar100() -> Self {
        Self {
            name: Benchmark::Cifar100,
            id: "uoft-cs/cifar100",
            config: "cifar100",
            image: "img",
            label: "fine_label",
            images: [50_000, 10_000],
            // No copy was at hand to take them from, nor a file: the Hub's own word, its etag, has to do.
            contents: None,
            sha256: None,
            binary: Some(cifar::Format::Cifar100),
        }
    }

    /// The file of a part within the repository.
    pub(crate) fn file(&self, part: Part) -> String {
        format!("{}/{}/0000.parquet", self.config, part.as_str())
    }

    /// The known sha256 of that file.
    pub(crate) fn pin(&self, part: Part) -> Option<&'static str> {
        self.sha256.map(|both| part.of(both))
    }
}
