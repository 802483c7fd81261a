package import MartletCodecs
package import MartletIO
package import MartletPrimitives

/// What workers tell one another about streams. Everything goes through one ring in one order.
package enum MediaMessage: WorkerMessage {
  // From a publisher's worker to the stream's home.
  case begin(publication: UInt64, ClientInfo)
  case expect(publication: UInt64, Set<MediaKind>)
  case format(publication: UInt64, TrackFormat, track: UInt8)
  case frame(publication: UInt64, Frame)
  case unread(publication: UInt64, UnreadFrames)
  case publishedTracks(publication: UInt64, [PacketTrack])
  case publishedClock(publication: UInt64, PacketClock)
  case publishedPackets(publication: UInt64, [StreamPacket])
  case finish(publication: UInt64)
  // From a viewer's worker to the home.
  case attach(StreamPath, WireFormat, worker: Int)
  case detach(StreamPath, formatName: String, worker: Int)
  case attachPackets(PacketKey, worker: Int)
  case detachPackets(PacketKey, worker: Int)
  case wantKeyFrame(StreamPath, track: UInt8, layer: UInt8)
  case watchLayers(StreamPath, LayerDemand, worker: Int)
  // From the home to the others.
  case available(StreamPath)
  case configure(RingKey, opening: Slice, configuration: Slice, hasVideo: Bool)
  case unit(RingKey, WireUnit)
  case end(RingKey, EndReason)
  case revoke(publication: UInt64, KickReason)
  case packetTracks(PacketKey, [PacketTrack])
  case packetClock(PacketKey, PacketClock)
  case packets(PacketKey, [StreamPacket])
  case packetPause(PacketKey)
  case packetEnd(PacketKey, EndReason)
  /// To a publisher's worker.
  case needKeyFrame(publication: UInt64, track: UInt8, layer: UInt8)
  case readFrames(publication: UInt64, Bool)
  case watchedLayers(publication: UInt64, LayerDemand)

  /// Media may be dropped: the sender skips to the next key frame.
  package var droppableSize: Int? {
    switch self {
    case .frame(_, let frame): frame.payload.count
    case .unit(_, let unit): unit.bytes.count
    case .publishedPackets(_, let packets), .packets(_, let packets): packets.reduce(0) { $0 + $1.payload.count }
    default: nil
    }
  }
}

package struct RingKey: Hashable, Sendable {
  let path: StreamPath
  let format: String
}

/// The rings between all pairs of workers.
package typealias MediaMesh = WorkerMesh<MediaMessage>

internal typealias MediaLink = WorkerLink<MediaMessage>

/// The home's end of a format that another worker's viewers watch.
internal final class RemoteTarget: WireTarget {
  internal let worker: Int
  private let link: MediaLink
  private let key: RingKey
  private var awaitsJoinPoint = false

  internal init(worker: Int, link: MediaLink, key: RingKey) {
    self.worker = worker
    self.link = link
    self.key = key
  }

  internal func configure(opening: Slice, configuration: Slice, hasVideo: Bool) {
    awaitsJoinPoint = false
    link.send(.configure(key, opening: opening, configuration: configuration, hasVideo: hasVideo))
  }

  internal func append(_ unit: WireUnit) {
    if awaitsJoinPoint, !unit.isJoinPoint { return }
    awaitsJoinPoint = !link.send(.unit(key, unit))
  }

  internal func end(_ reason: EndReason) { link.send(.end(key, reason)) }
}
