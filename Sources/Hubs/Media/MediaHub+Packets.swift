internal import MartletIO
internal import MartletPrimitives

// The packet plane across workers: a ring on each worker with viewers, fed by the stream's home.
extension MediaHub {
  /// The local ring of a stream's packets; it may still wait for a publisher. A reader keeps it in being.
  package func packetRing(_ key: PacketKey) -> PacketRing {
    ask(for: key.path)
    if let ring = packetRings[key] { return ring }
    let ring = makePacketRing(key)
    if let stream = localStream(key.path) {
      _ = stream.openPackets(ring)
    } else {
      link(toHomeOf: key.path)?.send(.attachPackets(key, worker: context.loop.index))
    }
    return ring
  }

  private func makePacketRing(_ key: PacketKey) -> PacketRing {
    let ring = PacketRing(key, in: context)
    ring.occupancyChanged = { [weak self] ring in if ring.readers.isEmpty { self?.dropPacketsLater(ring) } }
    ring.demandChanged = { [weak self] ring in self?.tellDemand(of: ring) }
    packetRings[key] = ring
    dropPacketsLater(ring)
    return ring
  }

  /// Packets are on their way: the home keeps what viewers may join at.
  internal func openPackets(of stream: Stream) {
    let key = PacketKey(stream.path)
    guard stream.packets(key.rendition) == nil else { return }
    _ = stream.openPackets(packetRings[key] ?? makePacketRing(key))
  }

  private func dropPacketsLater(_ ring: PacketRing) {
    let key = ring.key
    context.schedule(after: .seconds(5)) { [weak self, weak ring] in
      guard let self, let ring, ring.readers.isEmpty, self.packetRings[key] === ring else { return }
      if let stream = self.localStream(key.path) {
        // A publisher of packets keeps them going, and so do other workers' viewers.
        guard self.remotePackets[key]?.isEmpty ?? true, stream.closePackets(key.rendition) else { return }
      } else {
        self.link(toHomeOf: key.path)?.send(.detachPackets(key, worker: self.context.loop.index))
      }
      self.packetRings[key] = nil
    }
  }

  internal func attachRemotePackets(_ key: PacketKey, _ worker: Int) {
    guard let link = links[worker], let stream = localStream(key.path), remotePackets[key]?[worker] == nil else { return }
    let target = RemotePacketTarget(link: link, key: key)
    remotePackets[key, default: [:]][worker] = target
    stream.openPackets(packetRings[key] ?? makePacketRing(key)).add(target)
  }

  /// The publisher need not make what nobody watches.
  internal func tellDemand(of ring: PacketRing) {
    guard ring.key.rendition == .realtime else { return }
    if let stream = localStream(ring.path) {
      stream.setDemand(ring.demand, of: context.loop.index)
    } else {
      link(toHomeOf: ring.path)?.send(.watchLayers(ring.path, ring.demand, worker: context.loop.index))
    }
  }

  internal func setDemand(_ demand: LayerDemand, publication: UInt64) {
    if let local = publications[publication] { return local.setDemand(demand) }
    for link in links.values { link.send(.watchedLayers(publication: publication, demand)) }
  }

  internal func detachRemotePackets(_ key: PacketKey, _ worker: Int) {
    guard let target = remotePackets[key]?.removeValue(forKey: worker) else { return }
    localStream(key.path)?.packets(key.rendition)?.remove(target)
    if let ring = packetRings[key], ring.readers.isEmpty { dropPacketsLater(ring) }
  }

  /// Somebody cannot decode a track before its next key frame. The publisher merges such wishes.
  package func requestKeyFrame(_ path: StreamPath, track: UInt8, layer: UInt8) {
    if let stream = localStream(path) {
      stream.requestKeyFrame(track: track, layer: layer)
    } else {
      link(toHomeOf: path)?.send(.wantKeyFrame(path, track: track, layer: layer))
    }
  }

  internal func setRead(_ areRead: Bool, publication: UInt64) {
    if let local = publications[publication] { return local.setRead(areRead) }
    for link in links.values { link.send(.readFrames(publication: publication, areRead)) }
  }

  internal func requestKeyFrame(publication: UInt64, track: UInt8, layer: UInt8) {
    if let local = publications[publication] { return local.requestKeyFrame(track: track, layer: layer) }
    for link in links.values { link.send(.needKeyFrame(publication: publication, track: track, layer: layer)) }
  }
}
