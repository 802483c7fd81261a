internal import MartletCodecs
internal import MartletContainers
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import MartletRTMP

/// One RTMP client: drives its `ServerSession`, and owns at most one publisher and one player.
///
/// After each call into the session its events are taken one by one and acted on, then its bytes are sent; nothing is called
/// from inside the session.
internal final class RTMPConnection: TCPConnectionHandler {
  internal let connection: TCPConnection
  internal let listener: RTMPListener
  internal var session: ServerSession
  private var app = ""
  private var connectQuery = QueryParameters()
  private var userAgent: String?
  internal var publisher: RTMPPublisher?
  internal var player: RTMPPlayer?
  private var timer: SlabID?

  internal init(_ connection: TCPConnection, _ listener: RTMPListener) {
    self.connection = connection
    self.listener = listener
    var random = SystemRandomNumberGenerator()
    session = ServerSession(configuration: listener.configuration.session, now: connection.context.now, random: &random)
    watchDeadline()
  }

  internal var context: LoopContext { connection.context }

  // MARK: TCPConnectionHandler

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    var failure: RTMPError?
    do throws(RTMPError) { try session.receive(bytes, now: context.now) } catch { failure = error }
    drain()
    if let failure { fail("\(failure)") }
  }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    if let timer { context.cancel(timer) }
    stopPublishing()
    stopPlaying()
  }

  // MARK: Driving the session

  /// Acts on what the session has to say, then sends what it wrote.
  internal func drain() {
    while let event = session.pollEvent() { handle(event) }
    let output = session.takeOutput()
    if !output.isEmpty { connection.write(output) }
  }

  internal func fail(_ reason: String) {
    context.log(.warning, "rtmp", reason, ["peer": "\(connection.remote)"])
    connection.closeAfterFlush()
  }

  private func watchDeadline() {
    guard let deadline = session.deadline else { return }
    timer = context.schedule(at: deadline) { [weak self] in
      guard let self, self.connection.isOpen else { return }
      var failure: RTMPError?
      do throws(RTMPError) { try self.session.timeout(now: self.context.now) } catch { failure = error }
      self.drain()
      if let failure { self.fail("\(failure)") } else { self.watchDeadline() }
    }
  }

  private func handle(_ event: ServerEvent) {
    switch event {
    case .connect(let request): connect(request)
    case .publish(let request): publish(request)
    case .play(let request): play(request)
    case .media(_, let message): publisher?.receive(message)
    case .pause(let id, let paused, _):
      player?.reader.setPaused(paused)
      session.pauseNotify(id, paused: paused)
    case .seek(let id, _): session.rejectSeek(id)
    case .receiveAudio(_, let wanted): player?.reader.setHidden(.audio, !wanted)
    case .receiveVideo(_, let wanted): player?.reader.setHidden(.video, !wanted)
    case .closeStream(let id):
      if publisher?.streamID == id { stopPublishing() }
      if player?.streamID == id { stopPlaying() }
    case .acknowledged, .bufferLength: break
    }
  }

  private func connect(_ request: ConnectRequest) {
    app = request.app
    connectQuery = request.query
    userAgent = request.flashVersion
    do throws(RTMPError) { try session.acceptConnect() } catch { fail("\(error)") }
  }

  // MARK: Publishing

  private func publish(_ request: PublishRequest) {
    guard publisher == nil, player == nil else {
      return session.rejectPublish(request.streamID, description: "One connection publishes or plays one stream.")
    }
    authorize(.publish, name: request.name, query: request.query) { [weak self] client in
      guard let self else { return }
      self.beginPublishing(request, client)
    } denied: { [weak self] reason in
      self?.session.rejectPublish(request.streamID, code: "NetStream.Publish.Denied", description: reason)
    }
  }

  private func beginPublishing(_ request: PublishRequest, _ client: ClientInfo) {
    do throws(PublishError) {
      publisher = try RTMPPublisher(self, streamID: request.streamID, client: client)
      session.acceptPublish(request.streamID)
      listener.admission.access.sessionDidBegin(client)
      context.log(.info, "rtmp", "\(client.path) is published", ["peer": "\(connection.remote)", "client": client.id])
    } catch {
      context.log(.warning, "rtmp", "publishing refused: \(error)", ["peer": "\(connection.remote)"])
      session.rejectPublish(request.streamID, description: "\(error)")
    }
  }

  internal func stopPublishing() {
    guard let publisher = exchange(&publisher, with: nil) else { return }
    publisher.finish()
    listener.admission.access.sessionDidEnd(publisher.client)
    context.log(.info, "rtmp", "\(publisher.client.path) is no longer published", ["client": publisher.client.id])
  }

  // MARK: Playing

  private func play(_ request: PlayRequest) {
    guard publisher == nil, player == nil else {
      return session.rejectPlay(
        request.streamID, code: "NetStream.Play.Failed", description: "One connection publishes or plays one stream.")
    }
    authorize(.play, name: request.name, query: request.query) { [weak self] client in
      guard let self else { return }
      self.player = RTMPPlayer(self, request: request, client: client)
      self.listener.admission.access.sessionDidBegin(client)
      self.player?.wait()
    } denied: { [weak self] reason in
      self?.session.rejectPlay(request.streamID, code: "NetStream.Play.Denied", description: reason)
    }
  }

  internal func stopPlaying() {
    guard let player = exchange(&player, with: nil) else { return }
    player.stop()
    listener.admission.access.sessionDidEnd(player.reader.client)
  }

  // MARK: Permission

  /// Asks who may, and goes on with a client of the named stream. The answer may come after the connection is gone.
  private func authorize(
    _ action: AccessAction, name: String, query: QueryParameters, allowed: @escaping (ClientInfo) -> Void,
    denied: @escaping (String) -> Void
  ) {
    let path: StreamPath
    do throws(ParseError) { path = try StreamPath(app.isEmpty ? name : "\(app)/\(name)") } catch { return denied("\(error)") }
    var parameters = query
    parameters.merge(connectQuery)
    let request = AccessRequest(
      action, on: path.text, transport: "rtmp", remote: connection.remote, token: parameters["token"], key: parameters["key"],
      userAgent: userAgent)
    listener.admission.ask(request, path: path) { [weak self] result in
      guard let self, self.connection.isOpen else { return }
      switch result {
      case .success(let client): allowed(client)
      case .failure(let refusal): denied(refusal.reason)
      }
      self.drain()
    }
  }
}
