internal import MartletIO
internal import MartletPrimitives

/// Where a stream's packets go: the ring of this worker, or the link to another worker's.
internal protocol PacketTarget: AnyObject {
  func configure(_ tracks: [PacketTrack])
  func setClock(_ clock: PacketClock)
  func append(_ packets: [StreamPacket])
  func pause()
  func end(_ reason: EndReason)
}

extension PacketRing: PacketTarget {}

/// The home's end of another worker's ring.
internal final class RemotePacketTarget: PacketTarget {
  private let link: MediaLink
  private let path: StreamPath

  internal init(link: MediaLink, path: StreamPath) {
    self.link = link
    self.path = path
  }

  internal func configure(_ tracks: [PacketTrack]) { link.send(.packetTracks(path, tracks)) }
  internal func setClock(_ clock: PacketClock) { link.send(.packetClock(path, clock)) }
  /// What finds no room is lost as on a network; viewers ask for it, or for a key frame.
  internal func append(_ packets: [StreamPacket]) { link.send(.packets(path, packets)) }
  internal func pause() { link.send(.packetPause(path)) }
  internal func end(_ reason: EndReason) { link.send(.packetEnd(path, reason)) }
}
