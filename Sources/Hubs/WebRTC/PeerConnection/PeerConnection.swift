internal import MartletPrimitives
internal import Synchronization

/// RTCPeerConnection (W3C WebRTC §4) in Swift's idiom: calls are `async` and throw `PeerError`, what happens comes from `events`, one
/// ordered sequence for one task. It lives on a thread of its own with all others of the process; nothing of it blocks a task.
///
///     let peer = PeerConnection()
///     let channel = try await peer.createDataChannel("chat")
///     try await peer.setLocalDescription()
///     // … send peer.localDescription and what `events` says of candidates, take the peer's …
///     for await message in channel.messages { print(message) }
///
/// `close` ends it, with every sequence that it gave. A connection that nobody refers to any more closes itself.
public final class PeerConnection: Sendable {
  /// What happens, in order; nothing is dropped. For one task.
  public let events: PeerSequence<Event>
  let id: UInt64
  private static let count = Atomic<UInt64>(0)

  /// Without servers and with the defaults.
  public convenience init() { self.init(Configuration(), .none) }

  /// Throws `syntax` for the URL of a server that is none, `invalidAccess` for a TURN server without username or credential.
  public convenience init(_ configuration: Configuration) throws(PeerError) {
    self.init(configuration, try ICEServers(configuration))
  }

  private init(_ configuration: Configuration, _ servers: ICEServers) {
    let id = Self.count.add(1, ordering: .relaxed).newValue
    let events = PeerSequence<Event>(.never)
    self.id = id
    self.events = events
    PeerLoop.shared.post { residents in residents.connections[id] = PeerConnectionCore(id, configuration, servers, events, residents) }
  }

  deinit { PeerLoop.shared.post { [id] in $0.connections[id]?.close() } }

  // MARK: Descriptions

  public func createOffer(restartICE: Bool = false) async throws(PeerError) -> SessionDescription {
    try await run { core throws(PeerError) in try core.createOffer(restartICE: restartICE) }
  }

  public func createAnswer() async throws(PeerError) -> SessionDescription {
    try await run { core throws(PeerError) in try core.createAnswer() }
  }

  /// Without a description it makes the one that the state asks for (perfect negotiation, W3C WebRTC §10.7). Gathering begins.
  public func setLocalDescription(_ description: SessionDescription? = nil) async throws(PeerError) {
    try await run { core throws(PeerError) in try core.setLocal(description) }
  }

  /// An offer that comes while one of ours waits is an error unless a rollback goes before it.
  public func setRemoteDescription(_ description: SessionDescription) async throws(PeerError) {
    try await run { core throws(PeerError) in try core.setRemote(description) }
  }

  /// With the candidates known by now.
  public var localDescription: SessionDescription? { get async { (try? await run { $0.localDescription }) ?? nil } }

  /// A candidate that the peer signalled. One that overtakes the peer's description waits for it: signaling need not keep their order.
  public func add(_ candidate: Candidate) async throws(PeerError) {
    try await run { core throws(PeerError) in try core.add(candidate) }
  }

  public var connectionState: ConnectionState { get async { (try? await run { $0.connectionState }) ?? .closed } }
  public var signalingState: SignalingState { get async { (try? await run { $0.signalingState }) ?? .closed } }

  /// Waits for `connected`; throws when the connection fails or is closed instead.
  public func waitUntilConnected() async throws(PeerError) {
    let sequence = PeerSequence<ConnectionState>(.never)
    try await run { $0.tellState(sequence.box) }
    for await state in sequence {
      switch state {
      case .connected: return
      case .failed: throw PeerError(.network, (try? await run { $0.failure }) ?? "the connection failed")
      case .closed: throw PeerError(.closed, "the connection was closed")
      case .new, .connecting, .disconnected: continue
      }
    }
    throw PeerError(.closed, "the connection was closed")
  }

  // MARK: Data and media

  /// Opens a channel, at once or when the connection is there.
  public func createDataChannel(_ label: String, _ options: DataChannel.Options = .reliable) async throws(PeerError) -> DataChannel {
    try await run { core throws(PeerError) in try core.openChannel(label, options) }
  }

  /// addTrack: sends media of one kind by a transceiver that has not sent yet, such as one that came with the peer's offer, or by a new
  /// one, which finds its section in the next offer of either side.
  public func addTrack(_ kind: MediaTransceiver.Kind) async throws(PeerError) -> MediaTransceiver {
    try await run { core throws(PeerError) in try core.addTrack(kind) }
  }

  /// A section of its own for media of one kind, in the next offer of this side.
  public func addTransceiver(
    _ kind: MediaTransceiver.Kind, _ direction: MediaTransceiver.Direction = .sendrecv
  ) async throws(PeerError) -> MediaTransceiver {
    try await run { core throws(PeerError) in try core.addTransceiver(kind, direction) }
  }

  public var statistics: Statistics { get async { (try? await run { $0.statistics }) ?? Statistics() } }

  /// getStats, whole: what `statistics` sums up.
  public var report: Report { get async { (try? await run { $0.report }) ?? Report() } }

  /// Ends everything at once; the peer is told.
  public func close() async { _ = try? await run { $0.close() } }

  // MARK: The loop

  private func run<R: Sendable>(_ body: @escaping @Sendable (PeerConnectionCore) throws(PeerError) -> R) async throws(PeerError) -> R {
    try await Self.run(id, body)
  }

  static func run<R: Sendable>(
    _ id: UInt64, _ body: @escaping @Sendable (PeerConnectionCore) throws(PeerError) -> R
  ) async throws(PeerError) -> R {
    let result: Result<R, PeerError> = await withCheckedContinuation { continuation in
      PeerLoop.shared.post { residents in
        guard let core = residents.connections[id] else {
          return continuation.resume(returning: .failure(PeerError(.closed, "the connection is closed")))
        }
        do throws(PeerError) { continuation.resume(returning: .success(try body(core))) } catch {
          continuation.resume(returning: .failure(error))
        }
      }
    }
    return try result.get()
  }
}
