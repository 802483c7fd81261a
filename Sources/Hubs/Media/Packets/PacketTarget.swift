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
  private let key: PacketKey

  internal init(link: MediaLink, key: PacketKey) {
    self.link = link
    self.key = key
  }

  internal func configure(_ tracks: [PacketTrack]) { link.send(.packetTracks(key, tracks)) }
  internal func setClock(_ clock: PacketClock) { link.send(.packetClock(key, clock)) }
  /// What finds no room is lost as on a network; viewers ask for it, or for a key frame.
  internal func append(_ packets: [StreamPacket]) { link.send(.packets(key, packets)) }
  internal func pause() { link.send(.packetPause(key)) }
  internal func end(_ reason: EndReason) { link.send(.packetEnd(key, reason)) }
}
