/// Which layers of a stream's tracks somebody watches.
package struct LayerDemand: Equatable, Sendable {
  /// A bit for each layer, by track.
  private var layers: [UInt32] = []

  package init() {}

  package func layers(of track: Int) -> UInt32 { layers.indices.contains(track) ? layers[track] : 0 }

  package mutating func insert(_ layer: UInt8, of track: UInt8) { add(1 << UInt32(layer & 31), Int(track)) }

  package mutating func formUnion(_ other: LayerDemand) {
    for (track, bits) in other.layers.enumerated() { add(bits, track) }
  }

  private mutating func add(_ bits: UInt32, _ track: Int) {
    while layers.count <= track { layers.append(0) }
    layers[track] |= bits
  }
}
