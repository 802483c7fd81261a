package import MartletCodecs
internal import MartletIO
internal import MartletPrimitives

/// What a publisher's session hears.
package protocol PublicationOwner: AnyObject {
  /// Another publisher took over, or an administrator stopped the stream. The publication is finished already.
  func publicationWasRevoked(_ publication: Publication, _ reason: KickReason)
  /// Somebody cannot decode a track, or one layer of it, before its next key frame.
  func publication(_ publication: Publication, needsKeyFrameOf track: UInt8, layer: UInt8)
  /// Somebody reads the frames of a publisher that has packets too, or nobody any more: then key frames alone need be made, and the
  /// others counted.
  func publication(_ publication: Publication, framesAreRead areRead: Bool)
  /// Of these kinds nothing is passed on any more; who has packets leaves them out.
  func publication(_ publication: Publication, didSilence kinds: Set<MediaKind>)
  /// Viewers of the packets watch these layers.
  func publication(_ publication: Publication, isWatchedIn demand: LayerDemand)
}

extension PublicationOwner {
  package func publication(_ publication: Publication, needsKeyFrameOf track: UInt8, layer: UInt8) {}
  package func publication(_ publication: Publication, framesAreRead areRead: Bool) {}
  package func publication(_ publication: Publication, didSilence kinds: Set<MediaKind>) {}
  package func publication(_ publication: Publication, isWatchedIn demand: LayerDemand) {}
}

/// A publisher's hold on a stream. The stream may live on another worker; the publisher need not know.
package final class Publication {
  package let path: StreamPath
  package let client: ClientInfo
  internal let id: UInt64
  internal weak var owner: (any PublicationOwner)?
  private let home: Home
  private var hub: MediaHub?
  private var awaitsKey = false
  /// What is not passed on, whatever the publisher sends. What was left out goes on with its next key frame.
  package internal(set) var silenced: Set<MediaKind> = [] {
    didSet { if silenced != oldValue { owner?.publication(self, didSilence: silenced) } }
  }
  private var kinds: [UInt8: MediaKind] = [:]
  private var interrupted: Set<UInt8> = []

  internal enum Home {
    case here(Stream)
    case there(MediaLink)
  }

  internal init(path: StreamPath, id: UInt64, client: ClientInfo, owner: any PublicationOwner, home: Home, hub: MediaHub) {
    self.path = path
    self.id = id
    self.client = client
    self.owner = owner
    self.home = home
    self.hub = hub
  }

  package var isFinished: Bool { hub == nil }

  package func expect(_ kinds: Set<MediaKind>) {
    guard hub != nil else { return }
    switch home {
    case .here(let stream): stream.expect(kinds, from: id)
    case .there(let link): link.send(.expect(publication: id, kinds))
    }
  }

  /// Adds a track or changes its format; tracks are numbered from 0 in the order in which they are added.
  package func setFormat(_ format: TrackFormat, track: UInt8) {
    guard hub != nil else { return }
    kinds[track] = format.kind
    switch home {
    case .here(let stream): stream.setFormat(format, track: track, from: id)
    case .there(let link): link.send(.format(publication: id, format, track: track))
    }
  }

  package func send(_ frame: Frame) {
    guard hub != nil, !isLeftOut(frame) else { return }
    switch home {
    case .here(let stream): stream.receive(frame, from: id)
    case .there(let link):
      if awaitsKey, !frame.isKey { return }
      awaitsKey = !link.send(.frame(publication: id, frame))
    }
  }

  private func isLeftOut(_ frame: Frame) -> Bool {
    if silenced.isEmpty, interrupted.isEmpty { return false }
    if let kind = kinds[frame.track], silenced.contains(kind) {
      interrupted.insert(frame.track)
      return true
    }
    if frame.isKey { interrupted.remove(frame.track) }
    return interrupted.contains(frame.track)
  }

  package func send(_ frames: UnreadFrames) {
    guard hub != nil, !frames.isEmpty else { return }
    switch home {
    case .here(let stream): stream.receive(frames, from: id)
    case .there(let link): link.send(.unread(publication: id, frames))
    }
  }

  /// The packet plane: the tracks of a publisher whose protocol has packets.
  package func setPacketTracks(_ tracks: [PacketTrack]) {
    guard let hub else { return }
    switch home {
    case .here(let stream):
      hub.openPackets(of: stream)
      stream.setPacketTracks(tracks, from: id)
    case .there(let link): link.send(.publishedTracks(publication: id, tracks))
    }
  }

  package func setPacketClock(_ clock: PacketClock) {
    guard hub != nil else { return }
    switch home {
    case .here(let stream): stream.setPacketClock(clock, from: id)
    case .there(let link): link.send(.publishedClock(publication: id, clock))
    }
  }

  /// The packets of a turn, in the order in which they came.
  package func send(_ packets: [StreamPacket]) {
    guard hub != nil, !packets.isEmpty else { return }
    switch home {
    case .here(let stream): stream.receive(packets, from: id)
    case .there(let link): link.send(.publishedPackets(publication: id, packets))
    }
  }

  internal func requestKeyFrame(track: UInt8, layer: UInt8) { owner?.publication(self, needsKeyFrameOf: track, layer: layer) }

  internal func setRead(_ areRead: Bool) { owner?.publication(self, framesAreRead: areRead) }

  internal func setDemand(_ demand: LayerDemand) { owner?.publication(self, isWatchedIn: demand) }

  /// Gives the stream up; viewers stay for the grace period. Safe to call again.
  package func finish() {
    guard let hub = exchange(&hub, with: nil) else { return }
    hub.finish(self, home)
  }

  internal func revoke(_ reason: KickReason) {
    finish()
    owner?.publicationWasRevoked(self, reason)
  }
}
