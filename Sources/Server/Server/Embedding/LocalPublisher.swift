public import MartletClient
internal import MartletCodecs
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import Synchronization

/// A stream that the program itself publishes on its server.
public final class LocalPublisher: Sendable {
  /// `APP/NAME`.
  public let path: String
  private let outbox: Outbox<MediaPacket, ServerError>
  private let known = Mutex<Set<MediaFrame.Kind>>([])

  internal init(_ path: StreamPath, on worker: Worker) async throws(ServerError) {
    self.path = path.text
    let id = LocalStation.ID()
    let loop = worker.loop
    let outbox = Outbox<MediaPacket, ServerError>(limit: 4 << 20) {
      loop.post { context in context.service(WorkerServices.self).stations[ObjectIdentifier(id)]?.pump() }
    }
    self.outbox = outbox
    let failure: ServerError? = await worker.run { context in
      let services = context.service(WorkerServices.self)
      do throws(PublishError) {
        services.stations[ObjectIdentifier(id)] = try LocalStation(path, id, outbox, services, in: context)
        return nil
      } catch { return .publish("\(error)") }
    }
    if let failure { throw failure }
  }

  deinit { outbox.finish() }

  /// Sends a packet; suspends while the server has 4 MiB of this publisher to deal with.
  ///
  /// - Throws: `media` for a frame before its format, after which one may go on; `revoked` when the stream is not this
  ///   publisher's any more.
  public func send(_ packet: MediaPacket) async throws(ServerError) {
    let (isKnown, cost) = known.withLock { known in
      switch packet {
      case .format(let format):
        known.insert(format.kind)
        return (true, 256)
      case .frame(let frame): return (known.contains(frame.kind), frame.slice.count + 64)
      }
    }
    guard isKnown else { throw .media("a frame before the format of its kind: send .format(…) first") }
    try await outbox.put(packet, cost: cost)
  }

  /// Sends packets in their order.
  public func send(_ packets: some Sequence<MediaPacket>) async throws(ServerError) {
    for packet in packets { try await send(packet) }
  }

  /// Gives the stream up after what has been sent. Viewers stay for the setting `streams.grace`, in case it comes back. The
  /// same happens when the publisher is released.
  public func finish() async {
    outbox.finish()
    await outbox.ended()
  }
}

/// A local publication on its worker.
internal final class LocalStation: PublicationOwner {
  internal final class ID: Sendable {}

  private let id: ID
  private let outbox: Outbox<MediaPacket, ServerError>
  private unowned let services: WorkerServices
  private var publication: Publication?
  /// Tracks in the order in which their formats came, with the clock of each.
  private var tracks: [(kind: MediaFrame.Kind, format: TrackFormat)] = []

  internal init(
    _ path: StreamPath, _ id: ID, _ outbox: Outbox<MediaPacket, ServerError>, _ services: WorkerServices, in context: LoopContext
  ) throws(PublishError) {
    (self.id, self.outbox, self.services) = (id, outbox, services)
    let client = ClientInfo(
      id: services.hub.nextClientID(), role: .publisher, transport: "local", path: path,
      remote: SocketAddress(ip: .v4(127 << 24 | 1), port: 0), since: context.wallTime)
    let publication = try services.hub.publish(client, owner: self)
    self.publication = publication
    services.access.sessionDidBegin(client)
    context.log(.info, "local", "\(path) is published")
  }

  internal func pump() {
    while let publication {
      switch outbox.next() {
      case .element(.format(let format)): configure(format, publication)
      case .element(.frame(let frame)):
        guard let index = tracks.firstIndex(where: { $0.kind == frame.kind }) else { continue }
        publication.send(frame.frame(in: tracks[index].format, track: UInt8(index)))
      case .nothingYet: return
      case .finished: end(nil)
      }
    }
  }

  private func configure(_ format: MediaFormat, _ publication: Publication) {
    var track = format.track
    // The usual clock of pictures; sound has its sample rate.
    if track.kind == .video { track.timescale = 90_000 }
    let index = tracks.firstIndex { $0.kind == format.kind } ?? tracks.count
    if index == tracks.count { tracks.append((format.kind, track)) } else { tracks[index].format = track }
    publication.setFormat(track, track: UInt8(index))
  }

  private func end(_ error: ServerError?) {
    guard let publication = exchange(&publication, with: nil) else { return }
    services.stations[ObjectIdentifier(id)] = nil
    publication.finish()
    services.access.sessionDidEnd(publication.client)
    outbox.end(error)
  }

  internal func stop() { end(.stopped) }

  internal func publicationWasRevoked(_ publication: Publication, _ reason: KickReason) {
    end(.revoked("\(publication.path) was taken from this publisher: \(reason)"))
  }
}
