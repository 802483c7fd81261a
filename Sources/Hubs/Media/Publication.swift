package import MartletCodecs
internal import MartletIO
internal import MartletPrimitives

/// What a publisher's session hears.
package protocol PublicationOwner: AnyObject {
  /// Another publisher took over, or an administrator stopped the stream. The publication is finished already.
  func publicationWasRevoked(_ publication: Publication, _ reason: KickReason)
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
    switch home {
    case .here(let stream): stream.setFormat(format, track: track, from: id)
    case .there(let link): link.send(.format(publication: id, format, track: track))
    }
  }

  package func send(_ frame: Frame) {
    guard hub != nil else { return }
    switch home {
    case .here(let stream): stream.receive(frame, from: id)
    case .there(let link):
      if awaitsKey, !frame.isKey { return }
      awaitsKey = !link.send(.frame(publication: id, frame))
    }
  }

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
