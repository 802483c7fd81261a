internal import MartletIO
internal import MartletPrimitives

// The packet plane across workers: a ring on each worker with viewers, fed by the stream's home.
extension MediaHub {
  /// The local ring of a stream's packets; it may still wait for a publisher. A reader keeps it in being.
  package func packetRing(_ path: StreamPath) -> PacketRing {
    ask(for: path)
    if let ring = packetRings[path] { return ring }
    let ring = makePacketRing(path)
    if let stream = localStream(path) {
      _ = stream.openPackets(ring)
    } else {
      link(toHomeOf: path)?.send(.attachPackets(path, worker: context.loop.index))
    }
    return ring
  }

  private func makePacketRing(_ path: StreamPath) -> PacketRing {
    let ring = PacketRing(path: path, in: context)
    ring.occupancyChanged = { [weak self] ring in if ring.readers.isEmpty { self?.dropPacketsLater(ring) } }
    packetRings[path] = ring
    dropPacketsLater(ring)
    return ring
  }

  /// Packets are on their way: the home keeps what viewers may join at.
  internal func openPackets(of stream: Stream) {
    guard stream.packets == nil else { return }
    _ = stream.openPackets(packetRings[stream.path] ?? makePacketRing(stream.path))
  }

  private func dropPacketsLater(_ ring: PacketRing) {
    context.schedule(after: .seconds(5)) { [weak self, weak ring] in
      guard let self, let ring, ring.readers.isEmpty, self.packetRings[ring.path] === ring else { return }
      if let stream = self.localStream(ring.path) {
        // A publisher of packets keeps them going, and so do other workers' viewers.
        guard self.remotePackets[ring.path]?.isEmpty ?? true, stream.closePackets() else { return }
      } else {
        self.link(toHomeOf: ring.path)?.send(.detachPackets(ring.path, worker: self.context.loop.index))
      }
      self.packetRings[ring.path] = nil
    }
  }

  internal func attachRemotePackets(_ path: StreamPath, _ worker: Int) {
    guard let link = links[worker], let stream = localStream(path), remotePackets[path]?[worker] == nil else { return }
    let target = RemotePacketTarget(link: link, path: path)
    remotePackets[path, default: [:]][worker] = target
    stream.openPackets(packetRings[path] ?? makePacketRing(path)).add(target)
  }

  internal func detachRemotePackets(_ path: StreamPath, _ worker: Int) {
    guard let target = remotePackets[path]?.removeValue(forKey: worker) else { return }
    localStream(path)?.packets?.remove(target)
    if let ring = packetRings[path], ring.readers.isEmpty { dropPacketsLater(ring) }
  }

  /// Somebody cannot decode a track before its next key frame. The publisher merges such wishes.
  package func requestKeyFrame(_ path: StreamPath, track: UInt8, layer: UInt8) {
    if let stream = localStream(path) {
      stream.requestKeyFrame(track: track, layer: layer)
    } else {
      link(toHomeOf: path)?.send(.wantKeyFrame(path, track: track, layer: layer))
    }
  }

  internal func requestKeyFrame(publication: UInt64, track: UInt8, layer: UInt8) {
    if let local = publications[publication] { return local.requestKeyFrame(track: track, layer: layer) }
    for link in links.values { link.send(.needKeyFrame(publication: publication, track: track, layer: layer)) }
  }
}
