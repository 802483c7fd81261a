internal import Glibc
internal import MartletCrypto
internal import MartletEndpoints
internal import MartletIO
internal import MartletMedia
internal import MartletMessages
internal import MartletPrimitives
internal import MartletRooms
internal import MartletSTUN
internal import MartletStorage
internal import MartletWeb
internal import MartletWebRTC
internal import Synchronization

/// What one worker runs: its hub, its endpoints and its listeners, put together on the worker's own thread.
internal final class WorkerServices {
  internal let hub: MediaHub
  internal let messages: MessageHub
  internal let http: HTTPServer
  internal let rtmp: RTMPListener
  internal let access: AccessAuthority
  private let notifier: WebhookNotifier
  private let rest: RESTEndpoint
  private let live: LiveEndpoint
  private let outputs: OutputServices
  private let channels: ChannelsEndpoint
  private let roomHub: RoomHub
  private let rooms: RoomsEndpoint
  private let socketIO: SocketIOServices
  private let files: FilesEndpoint
  private let relay: RTMPRelay
  private let webrtc: WebRTCListener
  private let whip: WHIPEndpoint
  private let turn: TURNListener
  /// What the program around the server publishes here.
  internal var stations: [ObjectIdentifier: LocalStation] = [:]

  internal init(_ shared: SharedServices, in context: LoopContext) {
    let configuration = shared.configuration
    hub = MediaHub(configuration.streams, directory: shared.directory, mesh: shared.mesh, in: context)
    context.register(hub)
    messages = MessageHub(configuration.channels, mesh: shared.channelMesh, store: shared.store, users: shared.users, in: context)
    context.register(messages)
    let sender = HTTPWebhookSender(in: context)
    notifier = WebhookNotifier(configuration.webhooks, sender: sender, in: context)
    access = AccessAuthority(
      shared.policy, webhook: configuration.auth.webhook, sender: sender, notifier: notifier, in: context)
    let gathering = Gathering(shared.loops, in: context)
    context.register(gathering)
    rest = RESTEndpoint(shared, gathering: gathering, access: access, messages: messages, in: context)
    let admission = Admission(hub: hub, access: access, context: context)
    rtmp = RTMPListener(configuration.rtmp, admission)
    live = LiveEndpoint(admission)
    outputs = OutputServices(shared, admission)
    relay = RTMPRelay(configuration.relay, admission)
    webrtc = WebRTCListener(configuration.webrtc, identity: shared.identity, mesh: shared.peerMesh, in: context)
    context.register(webrtc)
    whip = WHIPEndpoint(admission, webrtc, loops: shared.loops, context.service(HeldExchanges.self))
    turn = TURNListener(configuration.turn, shared.turn, loops: shared.loops, in: context)
    context.register(turn)
    _ = turn.revoke(shared.policy.revocations.add)
    turn.allocationDidChange = { [notifier] in notifier.notify($0, $1) }
    channels = ChannelsEndpoint(configuration.channelTransports, hub: messages, access: access, webSocket: configuration.http.webSocket)
    roomHub = RoomHub(
      configuration.rooms, messages: messages, loops: shared.loops, hasServer: configuration.listeners.webrtc != nil,
      census: shared.roomCensus,
      isPublished: { [directory = shared.directory] path in (try? StreamPath(path)).map(directory.hasPublisher) ?? false }, in: context)
    context.register(roomHub)
    let media = RoomMedia(webrtc, admission, loops: shared.loops)
    context.register(media)
    roomHub.didChange = { [loops = shared.loops, notifier] change in
      notifier.notify(change)
      for loop in loops { Self.follow(change, on: loop) }
    }
    rooms = RoomsEndpoint(roomHub, messages: messages, access: access, webSocket: configuration.http.webSocket)
    rooms.iceServer = { [unowned rest] authority, user, expires, token in
      try? TURNCredentialResource.mint(rest, authority: authority, user: user, expires: expires, token: token).server
    }
    socketIO = SocketIOServices(shared, hub: messages, access: access, in: context)
    files = FilesEndpoint(shared.files, hub: messages, access: access, in: context)
    context.register(files)
    let router = Router()
    WebPages.add(to: router)
    rest.add(to: router)
    MetricsEndpoint.add(to: router, rest)
    outputs.add(to: router)
    channels.add(to: router)
    rooms.add(to: router)
    socketIO.add(to: router)
    files.add(to: router)
    router.fallback(whip.handle)
    router.fallback(live.handle)
    if !configuration.staticFiles.isEmpty {
      let files = StaticFiles(StaticFiles.Configuration(path: configuration.staticFiles), pool: shared.disk, in: context)
      context.register(files)
      router.fallback { [unowned files] exchange in files.handle(exchange) }
    }
    http = HTTPServer(configuration.http, router: router, in: context)
    if configuration.turn.sharesHTTP {
      http.foreign = { [unowned turn] connection, bytes in turn.accept(connection, having: bytes) }
    }
    if configuration.diagnostics {
      DiagnosisEndpoint.add(to: router, webSockets: configuration.http.webSocket)
      whip.addDiagnosis(to: router)
    }
    startRelay()
  }

  /// Media is where its participant came in, not where the room is at home.
  private static func follow(_ change: RoomHub.Change, on loop: EventLoop) {
    switch change {
    case .left(let room, let participant, let reason):
      loop.post { $0.service(RoomMedia.self).end(participant, of: room, reason.rawValue) }
    case .restricted(let room, let participant):
      loop.post { $0.service(RoomMedia.self).end(participant, of: room, "it may not publish any more") }
    case .spoke(let room, let speakers): loop.post { $0.service(RoomMedia.self).setSpeakers(speakers, of: room) }
    case .silenced(let room, let participant): loop.post { $0.service(RoomMedia.self).silence(participant, of: room) }
    case .recording(let room, let isRecorded): loop.post { $0.service(StreamRecorders.self).setRecorded(room, isRecorded) }
    case .began, .joined, .ended: break
    }
  }

  /// Beside whatever else begins with a stream.
  private func startRelay() {
    hub.streamDidStart = { [others = hub.streamDidStart, unowned relay] stream in
      others?(stream)
      relay.streamDidStart(stream)
    }
    hub.streamIsMissing = { [unowned relay] path in relay.streamIsMissing(path) }
  }

  /// - Returns: the addresses with the ports that the kernel chose where 0 was asked for.
  internal func listen(
    on listeners: ServerConfiguration.Listeners, _ shared: SharedServices, in context: LoopContext
  ) throws(SystemError) -> ServerConfiguration.Listeners {
    var bound = ServerConfiguration.Listeners(http: nil, https: nil, rtmp: nil, rtmps: nil, webrtc: listeners.webrtc)
    let (census, certificates) = (shared.census, shared.certificates)
    if let address = listeners.http { bound.http = try http.listen(on: address, census: census) }
    if let address = listeners.https { bound.https = try http.listen(on: address, tls: { certificates.http }, census: census) }
    if shared.configuration.redirectsToHTTPS { http.redirect(toPort: bound.https?.port) }
    if let address = listeners.rtmp { bound.rtmp = try rtmp.listen(on: address, census: census, in: context) }
    if let address = listeners.rtmps {
      bound.rtmps = try rtmp.listen(on: address, tls: { certificates.rtmp }, census: census, in: context)
    }
    if let address = listeners.turn { bound.turn = try turn.listen(on: address, census: census) }
    if let address = listeners.turns {
      let secure = try turn.listenSecurely(on: address, tls: { certificates.turn }, census: census)
      try turn.listenWithDTLS(on: secure) { certificates.turnDatagrams }
      bound.turns = secure
    }
    // Each worker has a port of its own, so that what a peer sends comes to where its session lives, or all share that of the first.
    if let address = listeners.webrtc, shared.configuration.listeners.webrtc != nil {
      let isAnyPort = shared.configuration.listeners.webrtc?.port == 0 && shared.peerMesh == nil
      let own = try webrtc.listen(on: isAnyPort ? SocketAddress(ip: address.ip, port: 0) : address, census: census)
      if context.loop.index == 0 { bound.webrtc = own }
    }
    turn.start(listeningAt: bound.relaying, mediaPorts: bound.mediaPorts(shared.configuration))
    return bound
  }

  /// Takes over what may change while the server runs.
  /// - Parameter bound: where the server listens; `nil` while it does not yet.
  internal func reload(_ configuration: ServerConfiguration, _ policy: AccessPolicy?, bound: ServerConfiguration.Listeners?) {
    http.setCORS(configuration.http.cors)
    notifier.reload(configuration.webhooks)
    if var policy {
      policy.revocations = access.policy.revocations
      access.policy = policy
    }
    access.webhook = configuration.auth.webhook
    guard let bound else { return }
    turn.reload(configuration.turn, listeningAt: bound.relaying, mediaPorts: bound.mediaPorts(configuration))
  }

  internal func metrics(in context: LoopContext) -> [Metric] {
    MediaCollector.collect(hub) + MessageCollector.collect(messages) + socketIO.metrics + NetworkCollector.collect(context)
      + HTTPCollector.collect(http.responses) + WebRTCCollector.collect(webrtc) + TURNCollector.collect(turn)
      + RoomCollector.collect(roomHub)
      + AccessCollector.collect(access, notifier)
  }

  /// Closes what a user has open on this worker, of any protocol.
  internal func kick(user: String) -> Int {
    hub.kick(.administrator) { $0.user == user } + messages.kick(.administrator) { $0.user == user }
      + roomHub.remove(.kicked) { $0.user == user }
      + files.kick { name, _ in name == user } + turn.closeAllocations(of: user)
  }

  /// No new connections; those there may finish.
  internal func drain() {
    rtmp.stopListening()
    relay.stop()
    for station in Array(stations.values) { station.stop() }
    socketIO.drain()
    http.drain()
    webrtc.close()
    turn.drain()
  }
}

extension ServerConfiguration.Listeners {
  /// The addresses of the TURN server.
  fileprivate var relaying: [IPAddress] { [turn, turns].compactMap { $0?.ip } }

  /// The ports of all workers' WebRTC sockets, where they follow one another.
  fileprivate func mediaPorts(_ configuration: ServerConfiguration) -> ClosedRange<UInt16>? {
    guard let first = webrtc?.port, first > 0 else { return nil }
    let others = configuration.webrtc.usesSinglePort || configuration.listeners.webrtc?.port == 0 ? 0 : configuration.workers - 1
    return first...UInt16(clamping: Int(first) + max(0, others))
  }
}

/// What all workers share; nothing in it is touched per packet.
internal struct SharedServices: Sendable {
  let configuration: ServerConfiguration
  let loops: [EventLoop]
  let census: ConnectionCensus
  let directory: StreamDirectory
  let mesh: MediaMesh
  let channelMesh: ChannelMesh
  let engineMesh: EngineMesh
  /// `nil` where each worker has a port of its own for WebRTC.
  let peerMesh: PeerMesh?
  let certificates: CertificateStore
  /// The policy that workers begin with; each has its own copy.
  let policy: AccessPolicy
  let administrator: Secret?
  /// Who this server is to WebRTC peers.
  let identity: DTLSIdentity
  let revocations: RevocationStore
  let started: WallTime
  let state = ServerState()
  /// For work of FFmpeg's libraries that somebody waits for.
  let codecs = ThreadPool(name: "martlet-codec", limit: 64)
  /// For reading files that clients wait for.
  let disk = ThreadPool(name: "martlet-disk", threads: 4, limit: 1024)
  let transcoders: Transcoders
  let turn: TURNShared
  let hls: HLSCatalog
  let hlsDisk: HLSDisk?
  let recordings: RecordingStore?
  /// `nil` where no files are kept.
  let files: FileStore?
  /// Who takes part in channels, by user.
  let users: UserCensus
  let roomCensus: RoomCensus
  /// Durable channels.
  let store: MessageStore?

  init(_ configuration: ServerConfiguration, loops: [EventLoop], log: Log) throws {
    self.configuration = configuration
    administrator = AdministratorToken.load(from: configuration.state, log: log)
    revocations = RevocationStore(folder: configuration.state, log: log)
    var policy = try AccessPolicy(configuration.auth, administrator: administrator)
    policy.revocations = revocations.load()
    self.policy = policy
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    started = WallTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    identity = try DTLSIdentity(now: started)
    self.loops = loops
    census = ConnectionCensus(limits: configuration.limits.census)
    directory = StreamDirectory()
    mesh = MediaMesh(loops: loops)
    channelMesh = ChannelMesh(loops: loops)
    engineMesh = EngineMesh(loops: loops)
    peerMesh = configuration.webrtc.usesSinglePort && loops.count > 1 ? PeerMesh(loops: loops) : nil
    certificates = try CertificateStore(configuration.tls, state: configuration.state, log: log)
    transcoders = Transcoders(maximumVideo: configuration.transcode.video == .auto ? configuration.transcode.maximumStreams : 0)
    turn = TURNShared(configuration.turn)
    hls = HLSCatalog(loops: loops, start: started, random: UInt32.random(in: 0...UInt32.max))
    hlsDisk = configuration.hls.path.isEmpty ? nil : HLSDisk(configuration.hls.path, log: log)
    users = UserCensus(limit: configuration.channels.userConnections)
    roomCensus = RoomCensus(configuration.rooms)
    store = try configuration.messageStore(log)
    files = configuration.fileStore(log)
    recordings = configuration.record.path.isEmpty ? nil : RecordingStore(configuration.record.path, log: log)
  }

  /// Lets the threads beside the workers write what waits, and ends them.
  func closeThreads() {
    hlsDisk?.close()
    recordings?.close()
    files?.close()
    store?.close()
    codecs.close()
    disk.close()
  }
}

extension ServerConfiguration {
  /// A folder that cannot be had costs the files, not the server.
  fileprivate func fileStore(_ log: Log) -> FileStore? {
    guard files.isEnabled, !files.path.isEmpty || !state.isEmpty else { return nil }
    let path = files.path.isEmpty ? state + "/files" : files.path
    do throws(FileFailure) { return try FileStore(path, files, log: log) } catch {
      log(.error, "files", "no files are kept: \(path): \(error) (files.path)")
      return nil
    }
  }

  fileprivate func messageStore(_ log: Log) throws -> MessageStore? {
    guard channels.hasDurable else { return nil }
    guard !channels.path.isEmpty || !state.isEmpty else {
      throw StorageError.unavailable("durable channels need a place: channels.path, or a state folder (state)")
    }
    let path = channels.path.isEmpty ? state + "/channels.db" : channels.path
    return try MessageStore(path: path, synchronous: channels.synchronous, log: log)
  }
}

/// Where the server is in its life.
internal final class ServerState: Sendable {
  /// Every listener is open, and the server is not draining.
  let isReady = Atomic<Bool>(false)
  /// With the ports that the kernel chose; `nil` until all are open.
  let listeners = Mutex<ServerConfiguration.Listeners?>(nil)
  /// What an administrator should know.
  let warnings = Mutex<[String]>([])
}
