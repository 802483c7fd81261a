package import MartletCodecs
package import MartletIO
internal import MartletPrimitives

/// The streams of one worker: those whose home it is, and its replicas of others that have viewers here.
///
/// Publishers and viewers of any protocol meet in it by path. Everything is synchronous and local; what crosses workers goes
/// through `MediaLink`.
package final class MediaHub {
  package let configuration: StreamConfiguration
  internal let context: LoopContext
  private let directory: StreamDirectory
  internal let mesh: MediaMesh
  internal private(set) var links: [Int: MediaLink] = [:]

  private var homes: [StreamPath: Stream] = [:]
  /// The home's view of publications made on other workers.
  private var remotePublications: [UInt64: Stream] = [:]
  /// Publications made here.
  internal private(set) var publications: [UInt64: Publication] = [:]
  private var rings: [RingKey: WireRing] = [:]
  private var remoteTargets: [RingKey: [Int: RemoteTarget]] = [:]
  internal var packetRings: [PacketKey: PacketRing] = [:]
  internal var remotePackets: [PacketKey: [Int: RemotePacketTarget]] = [:]
  private var detachedViewers: [ObjectIdentifier: any DetachedViewer] = [:]
  private var clientCount = 0

  /// Called on the home worker when a stream appears there: outputs that always run (recording, HLS) hook in here.
  package var streamDidStart: ((Stream) -> Void)?
  /// Called, on one worker for each path, when a viewer asks for a stream that nobody publishes: a pull may begin. Comes again
  /// with every viewer.
  package var streamIsMissing: ((StreamPath) -> Void)?

  /// Makes packets of a stream's frames, for viewers whose protocol has packets.
  package var makePacketizer: ((Stream, StreamPackets) -> (any FrameConsumer)?)?

  /// Makes a track into another codec; `nil` where that is not to be had.
  package var makeTranscoder: ((TranscodeRequest, @escaping @Sendable (TrackTranscoderOutput) -> Void) -> (any TrackTranscoder)?)?

  package init(_ configuration: StreamConfiguration, directory: StreamDirectory, mesh: MediaMesh, in context: LoopContext) {
    self.configuration = configuration
    self.directory = directory
    self.mesh = mesh
    self.context = context
    for loop in mesh.loops where loop.index != context.loop.index {
      links[loop.index] = MediaLink(to: loop, mesh: mesh, in: context) { $0.service(MediaHub.self).drain(from: $1) }
    }
    sweepLater()
  }

  /// A fresh id for `ClientInfo`.
  package func nextClientID() -> String {
    clientCount += 1
    return "w\(context.loop.index)-\(clientCount)"
  }

  // MARK: Publishing

  package func publish(_ client: ClientInfo, owner: any PublicationOwner) throws(PublishError) -> Publication {
    let path = client.path
    if !client.isParticipant, let why = path.publishRefusal { throw .reserved(why) }
    let claim = try directory.claim(path, worker: context.loop.index, configuration)
    if let replaced = claim.replaced { revoke(replaced.publication, on: replaced.worker, .administrator) }
    let home: Publication.Home
    if let link = links[claim.home] {
      link.send(.begin(publication: claim.publication, client))
      home = .there(link)
    } else {
      home = .here(begin(client, publication: claim.publication))
    }
    let publication = Publication(path: path, id: claim.publication, client: client, owner: owner, home: home, hub: self)
    publication.silenced = client.silenced
    publications[claim.publication] = publication
    return publication
  }

  /// Passes on nothing of these kinds from now on, and all others.
  package func silence(_ path: StreamPath, _ kinds: Set<MediaKind>) {
    for publication in publications.values where publication.path == path { publication.silenced = kinds }
  }

  private func begin(_ client: ClientInfo, publication: UInt64) -> Stream {
    let path = client.path
    if let stream = homes[path] {
      stream.begin(client, publication: publication)
      return stream
    }
    let stream = Stream(path: path, configuration: configuration, in: context)
    homes[path] = stream
    stream.makePacketizer = { [weak self] in self?.makePacketizer?($0, $1) }
    stream.makeTranscoder = { [weak self] in self?.makeTranscoder?($0, $1) }
    stream.keyFrameWanted = { [weak self] in self?.requestKeyFrame(publication: $0, track: $1, layer: $2) }
    stream.readingChanged = { [weak self] in self?.setRead($1, publication: $0) }
    stream.demandChanged = { [weak self] in self?.setDemand($1, publication: $0) }
    stream.begin(client, publication: publication)
    for (key, ring) in packetRings where key.path == path {
      _ = stream.openPackets(ring)
      tellDemand(of: ring)
    }
    for (key, ring) in rings where key.path == path { stream.attach(ring, ring.format) }
    for link in links.values { link.send(.available(path)) }
    streamDidStart?(stream)
    return stream
  }

  internal func finish(_ publication: Publication, _ home: Publication.Home) {
    publications[publication.id] = nil
    directory.release(publication.path, publication: publication.id)
    switch home {
    case .here(let stream): pause(stream, publication.id)
    case .there(let link): link.send(.finish(publication: publication.id))
    }
  }

  private func pause(_ stream: Stream, _ publication: UInt64) {
    guard stream.pause(publication) else { return }
    let publishes = stream.statistics.publishes
    context.schedule(after: configuration.grace) { [weak self, weak stream] in
      // A publisher that came back and left again has a grace period of its own.
      guard let self, let stream, !stream.isLive, stream.statistics.publishes == publishes, self.homes[stream.path] === stream,
        self.directory.remove(stream.path)
      else { return }
      self.homes[stream.path] = nil
      // Other workers' viewers give up by themselves; their `detach` finds no home to go to.
      for key in self.remoteTargets.keys where key.path == stream.path { self.remoteTargets[key] = nil }
      for key in self.remotePackets.keys where key.path == stream.path { self.remotePackets[key] = nil }
      for (key, ring) in self.packetRings where key.path == stream.path && ring.readers.isEmpty { self.packetRings[key] = nil }
      stream.end()
    }
  }

  private func revoke(_ publication: UInt64, on worker: Int, _ reason: KickReason) {
    if let link = links[worker] {
      link.send(.revoke(publication: publication, reason))
    } else {
      publications[publication]?.revoke(reason)
    }
  }

  // MARK: Watching

  /// The local ring of a stream in a format; it may still wait for a publisher (`isLive`). A reader keeps it in being.
  package func ring(_ path: StreamPath, _ format: WireFormat) -> WireRing {
    let key = RingKey(path: path, format: format.name)
    ask(for: path)
    if let ring = rings[key] { return ring }
    let ring = WireRing(path: path, format: format, limits: configuration.ring, latency: configuration.latency, in: context)
    ring.occupancyChanged = { [weak self] ring in if ring.readers.isEmpty { self?.dropLater(ring, key) } }
    rings[key] = ring
    dropLater(ring, key)
    if let stream = homes[path] {
      stream.attach(ring, format)
    } else if let home = directory.home(of: path), let link = links[home] {
      link.send(.attach(path, format, worker: context.loop.index))
    }
    return ring
  }

  /// Says that somebody wants to watch. `ring` does this by itself; outputs without a ring (HLS) call it.
  package func ask(for path: StreamPath) {
    guard homes[path] == nil, directory.home(of: path) == nil else { return }
    // Always the same worker, so that two viewers do not start two pulls.
    let loop = mesh.loops[path.placement(among: mesh.loops.count)]
    guard loop.index != context.loop.index else {
      streamIsMissing?(path)
      return
    }
    loop.post { context in context.service(MediaHub.self).streamIsMissing?(path) }
  }

  /// A ring that nobody reads is kept a few seconds for the next viewer.
  private func dropLater(_ ring: WireRing, _ key: RingKey) {
    context.schedule(after: .seconds(5)) { [weak self, weak ring] in
      guard let self, let ring, ring.readers.isEmpty, self.rings[key] === ring else { return }
      self.rings[key] = nil
      if let stream = self.homes[key.path] {
        stream.detach(ring, key.format)
      } else if let home = self.directory.home(of: key.path) {
        self.links[home]?.send(.detach(key.path, formatName: key.format, worker: self.context.loop.index))
      }
    }
  }

  /// Runs `body` with the stream on its home worker, or with `nil` when there is no such stream.
  package func withStream(_ path: StreamPath, _ body: @escaping @Sendable (Stream?, LoopContext) -> Void) {
    guard let home = directory.home(of: path), home != context.loop.index else { return body(homes[path], context) }
    mesh.loops[home].post { context in body(context.service(MediaHub.self).homes[path], context) }
  }

  /// The way to a stream's home on another worker.
  internal func link(toHomeOf path: StreamPath) -> MediaLink? { directory.home(of: path).flatMap { links[$0] } }

  package func hasStream(_ path: StreamPath) -> Bool { directory.home(of: path) != nil }

  /// The stream of that path, if its home is here.
  package func localStream(_ path: StreamPath) -> Stream? { homes[path] }

  /// The streams whose home is here.
  package var localStreams: [Stream] { Array(homes.values) }
  package var localRings: [WireRing] { Array(rings.values) }
  package var localPacketReaders: [PacketReader] { packetRings.values.flatMap(\.readers) }
  /// Rings of other workers that are fed from here.
  internal var remoteTargetCount: Int { remoteTargets.values.reduce(0) { $0 + $1.count } }
  /// Messages to other workers that found no room.
  package var dropped: Int { links.values.reduce(0) { $0 + $1.dropped } }
  package var localPublications: [Publication] { Array(publications.values) }
  package var localDetachedViewers: [any DetachedViewer] { Array(detachedViewers.values) }

  package func add(_ viewer: any DetachedViewer) { detachedViewers[ObjectIdentifier(viewer)] = viewer }
  package func remove(_ viewer: any DetachedViewer) { detachedViewers[ObjectIdentifier(viewer)] = nil }

  /// Closes a client of this worker; false when there is none of that id.
  package func kick(clientID: String, _ reason: KickReason) -> Bool {
    if let publication = publications.values.first(where: { $0.client.id == clientID }) {
      publication.revoke(reason)
      return true
    }
    if let viewer = detachedViewers.values.first(where: { $0.client.id == clientID }) {
      viewer.kick(reason)
      return true
    }
    for ring in rings.values {
      guard let reader = ring.readers.first(where: { $0.client.id == clientID }) else { continue }
      reader.kick(reason)
      return true
    }
    for ring in packetRings.values {
      guard let reader = ring.readers.first(where: { $0.client.id == clientID }) else { continue }
      reader.owner?.readerWasKicked(reader, reason)
      return true
    }
    return false
  }

  private func sweepLater() {
    context.schedule(after: .seconds(1)) { [weak self] in
      guard let self else { return }
      for ring in self.rings.values { ring.sweep(now: self.context.now) }
      self.sweepLater()
    }
  }

  // MARK: Messages from other workers

  internal func drain(from source: Int) {
    let ring = mesh.ring(from: source, to: context.loop.index)
    while let message = ring.pop() { handle(message) }
  }

  private func handle(_ message: MediaMessage) {
    switch message {
    case .begin(let id, let client): remotePublications[id] = begin(client, publication: id)
    case .expect(let id, let kinds): remotePublications[id]?.expect(kinds, from: id)
    case .format(let id, let format, let track): remotePublications[id]?.setFormat(format, track: track, from: id)
    case .frame(let id, let frame): remotePublications[id]?.receive(frame, from: id)
    case .unread(let id, let frames): remotePublications[id]?.receive(frames, from: id)
    case .publishedTracks(let id, let tracks):
      guard let stream = remotePublications[id] else { return }
      openPackets(of: stream)
      stream.setPacketTracks(tracks, from: id)
    case .publishedClock(let id, let clock): remotePublications[id]?.setPacketClock(clock, from: id)
    case .publishedPackets(let id, let packets): remotePublications[id]?.receive(packets, from: id)
    case .attachPackets(let key, let worker): attachRemotePackets(key, worker)
    case .detachPackets(let key, let worker): detachRemotePackets(key, worker)
    case .wantKeyFrame(let path, let track, let layer): homes[path]?.requestKeyFrame(track: track, layer: layer)
    case .watchLayers(let path, let demand, let worker): homes[path]?.setDemand(demand, of: worker)
    case .packetTracks(let key, let tracks): packetRings[key]?.configure(tracks)
    case .packetClock(let key, let clock): packetRings[key]?.setClock(clock)
    case .packets(let key, let packets): packetRings[key]?.append(packets)
    case .packetPause(let key): packetRings[key]?.pause()
    case .packetEnd(let key, let reason): packetRings[key]?.end(reason)
    case .needKeyFrame(let publication, let track, let layer): publications[publication]?.requestKeyFrame(track: track, layer: layer)
    case .readFrames(let publication, let areRead): publications[publication]?.setRead(areRead)
    case .watchedLayers(let publication, let demand): publications[publication]?.setDemand(demand)
    case .finish(let id): if let stream = remotePublications.removeValue(forKey: id) { pause(stream, id) }
    case .attach(let path, let format, let worker): attachRemote(path, format, worker)
    case .detach(let path, let formatName, let worker):
      guard let target = remoteTargets[RingKey(path: path, format: formatName)]?.removeValue(forKey: worker) else { return }
      homes[path]?.detach(target, formatName)
    case .available(let path):
      guard let home = directory.home(of: path), let link = links[home] else { return }
      for (key, ring) in rings where key.path == path { link.send(.attach(path, ring.format, worker: context.loop.index)) }
      for (key, ring) in packetRings where key.path == path {
        link.send(.attachPackets(key, worker: context.loop.index))
        tellDemand(of: ring)
      }
    case .configure(let key, let opening, let configuration, let hasVideo):
      rings[key]?.configure(opening: opening, configuration: configuration, hasVideo: hasVideo)
    case .unit(let key, let unit): rings[key]?.append(unit)
    case .end(let key, let reason): rings[key]?.end(reason)
    case .revoke(let publication, let reason): publications[publication]?.revoke(reason)
    }
  }

  private func attachRemote(_ path: StreamPath, _ format: WireFormat, _ worker: Int) {
    let key = RingKey(path: path, format: format.name)
    guard let link = links[worker], let stream = homes[path] else { return }
    // A worker that finds a stream in the directory asks; one that is told of it asks too: fed twice, its viewers would see
    // the GOP cache again.
    guard remoteTargets[key]?[worker] == nil else { return }
    let target = RemoteTarget(worker: worker, link: link, key: key)
    remoteTargets[key, default: [:]][worker] = target
    stream.attach(target, format)
  }
}
