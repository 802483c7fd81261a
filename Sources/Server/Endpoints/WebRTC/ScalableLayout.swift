internal import MartletMedia
internal import MartletPrimitives
internal import MartletRTP

/// The layers of a publisher's source, as its packets describe them (AV1 RTP specification, appendix A).
internal struct ScalableLayout {
  private var structure: DependencyStructure?
  /// `nil` of a source with one layer.
  internal private(set) var scalability: Scalability?

  /// Takes the descriptor of a packet.
  /// - Returns: what its frame is, where there are layers to choose from, and whether these are others than before.
  internal mutating func receive(_ descriptor: RawSpan) -> (frame: ScalableFrame?, isChanged: Bool) {
    guard let parsed = try? DependencyDescriptor(parsing: descriptor, current: structure) else { return (nil, false) }
    let before = scalability
    if let structure = parsed.structure, structure != self.structure {
      self.structure = structure
      scalability = Self.scalability(structure)
    }
    // A.8.2: a structure that comes makes all targets active, unless it says otherwise.
    if parsed.structure != nil { scalability?.active = .max }
    if let active = parsed.activeDecodeTargets { scalability?.active = active }
    return (frame(parsed), scalability != before)
  }

  private static func scalability(_ structure: DependencyStructure) -> Scalability? {
    // Without chains nobody can tell where a target may be begun.
    guard structure.decodeTargets > 1, 1...FrameDependencies.maximumChains ~= structure.chains,
      structure.chainOfTarget.allSatisfy({ $0 < structure.chains })
    else { return nil }
    let targets = structure.targetLayers.enumerated().map { index, layer in
      let size = structure.resolutions.indices.contains(Int(layer.spatial)) ? structure.resolutions[Int(layer.spatial)] : nil
      return Scalability.Target(
        spatial: layer.spatial, temporal: layer.temporal, chain: structure.chainOfTarget[index],
        height: size.map { min($0.width, $0.height) })
    }
    return Scalability(targets: targets)
  }

  private func frame(_ parsed: DependencyDescriptor) -> ScalableFrame? {
    guard scalability != nil, let structure, let dependencies = parsed.dependencies, let layer = parsed.layer(structure) else { return nil }
    return ScalableFrame(
      number: parsed.frameNumber, isEnd: parsed.endsFrame, spatial: layer.spatial, indications: dependencies.indications,
      chainDifferences: dependencies.chainDifferences)
  }
}
