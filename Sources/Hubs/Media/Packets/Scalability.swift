/// The layers of a stream that are in one source (SVC), as its publisher describes them.
package struct Scalability: Equatable, Sendable {
  /// Something that can be decoded for itself: layers up to these.
  package struct Target: Equatable, Sendable {
    package var spatial: UInt8
    package var temporal: UInt8
    /// The chain of frames that must be whole for it.
    package var chain: Int
    /// Of the picture, where the publisher says.
    package var height: Int?

    package init(spatial: UInt8, temporal: UInt8, chain: Int, height: Int? = nil) {
      (self.spatial, self.temporal, self.chain, self.height) = (spatial, temporal, chain, height)
    }
  }

  /// At most 32.
  package var targets: [Target]
  /// Those that are sent now, a bit each.
  package var active: UInt32

  package init(targets: [Target], active: UInt32 = .max) {
    self.targets = targets
    self.active = active
  }

  /// What is offered to choose from: the rate of pictures goes down only where the picture is small already.
  package var choices: [Int] {
    let present = targets.indices.filter { active & 1 << UInt32($0) != 0 }
    let base = present.map { targets[$0].spatial }.min()
    return present.filter { index in
      let target = targets[index]
      return target.spatial == base || !present.contains { targets[$0].spatial == target.spatial && targets[$0].temporal > target.temporal }
    }
  }
}

/// What a packet's frame is among the layers of its source.
package struct ScalableFrame: Equatable, Sendable {
  package var number: UInt16
  package var isEnd: Bool
  package var spatial: UInt8
  /// Two bits for each target: not part of it, needed by nothing of it, a place to begin it, needed.
  package var indications: UInt64
  /// A byte for each chain: how many frames ago its last one was, 0 for none before.
  package var chainDifferences: UInt64

  package init(number: UInt16, isEnd: Bool, spatial: UInt8, indications: UInt64, chainDifferences: UInt64) {
    self.number = number
    self.isEnd = isEnd
    self.spatial = spatial
    self.indications = indications
    self.chainDifferences = chainDifferences
  }

  package func isPart(of target: Int) -> Bool { indications >> UInt64(target * 2) & 3 != 0 }
  package func begins(_ target: Int) -> Bool { indications >> UInt64(target * 2) & 3 == 2 }
  package func difference(of chain: Int) -> Int { Int(chainDifferences >> UInt64(chain * 8) & 0xFF) }
}
