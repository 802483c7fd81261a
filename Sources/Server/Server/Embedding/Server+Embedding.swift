public import MartletClient
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import Synchronization

/// A server inside your own program.
///
///     var configuration = Server.Configuration()
///     try configuration.listen(http: 8080, rtmp: 1935)
///     let server = try await Server.start(configuration)
///     let camera = try await server.publish("live/camera")
///     for try await packet in packets { try await camera.send(packet) }
///     await server.stop()
extension Server {
  /// Starts a server; when it returns, every listener is open. It runs until `stop`.
  ///
  /// Each worker is a thread of its own, so that nothing your tasks do holds a stream up. SIGPIPE is ignored in the whole
  /// process from then on.
  /// - Throws: `ServerError.start`.
  public static func start(
    _ configuration: Configuration = Configuration(), log: LogOutput = .standardError
  ) async throws(ServerError) -> Server {
    let (handle, writer) = log.open(configuration.values.log)
    do { return try await Server(configuration.values, log: handle, writer: writer) } catch {
      writer?.close()
      throw .start("\(error)")
    }
  }

  /// An open port.
  public struct Listener: Sendable, Equatable, CustomStringConvertible {
    /// `http`, `https`, `rtmp`, `rtmps`, `webrtc`, `turn` or `turns`.
    public let scheme: String
    /// An address as in URLs, `::` and `0.0.0.0` included.
    public let host: String
    /// As the system chose it where 0 was asked for.
    public let port: Int
    public var description: String { "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)" }
  }

  /// Where it listens.
  public var listeners: [Listener] {
    bound.bound.map { Listener(scheme: $0.name, host: "\($0.address.ip)", port: Int($0.address.port)) }
  }

  /// What a reload did.
  public struct Reload: Sendable, Equatable {
    /// The settings that changed.
    public let applied: [String]
    /// Those that differ and need a restart.
    public let needRestart: [String]
  }

  /// Takes over what can change while the server runs, as SIGHUP does for the program `martlet`: docs/configuration.md says of
  /// each setting whether it can.
  @discardableResult public func reload(_ configuration: Configuration) async -> Reload {
    guard isRunning else { return Reload(applied: [], needRestart: []) }
    var wanted = configuration.values
    if wanted.workers == 0 { wanted.workers = self.configuration.workers }
    let change = await reload(wanted)
    return Reload(applied: change.applied, needRestart: change.needRestart)
  }

  /// Takes no new connections, gives those there are up to the setting `drain` to finish, and ends the threads. It
  /// cannot be started again; a second call does nothing.
  public func stop() async {
    guard isStopped.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged else { return }
    await drain()
    writer?.close()
  }

  /// A stopped loop answers nobody.
  private var isRunning: Bool { !isStopped.load(ordering: .acquiring) }

  /// A stream as it stands.
  public struct Stream: Sendable, Equatable {
    /// `APP/NAME`.
    public let path: String
    /// False between two publishers, within the grace period.
    public let isLive: Bool
    /// Of its tracks, in their order.
    public let formats: [MediaFormat]
    /// Viewers over every protocol.
    public let viewers: Int
    /// Bits of the last second.
    public let bitrate: Int
    /// Pictures of the last second.
    public let frameRate: Double
  }

  /// The streams there are, by path.
  public func streams() async -> [Stream] {
    guard isRunning else { return [] }
    var snapshots: [StreamSnapshot] = []
    var viewers: [StreamPath: Int] = [:]
    for worker in workers {
      let part = await worker.run { context in
        let hub = context.service(MediaHub.self)
        return (hub.streamSnapshots, hub.viewerCounts.mapValues { $0.values.reduce(0, +) })
      }
      snapshots += part.0
      viewers.merge(part.1, uniquingKeysWith: +)
    }
    return snapshots.sorted { $0.path.text < $1.path.text }.map { stream in
      let isLive = stream.publisher != nil
      return Stream(
        path: stream.path.text, isLive: isLive, formats: stream.formats.map { MediaFormat($0) }, viewers: viewers[stream.path] ?? 0,
        bitrate: isLive ? stream.statistics.bitrate : 0, frameRate: isLive ? stream.statistics.frameRate : 0)
    }
  }

  /// Publishes a stream from inside the program. Permissions are not asked for; every output has it at once.
  ///
  /// - Parameter path: `APP/NAME` or longer.
  /// - Throws: `ServerError.publish` when the path is none, is reserved, or is being published and may not be taken over.
  public func publish(_ path: String) async throws(ServerError) -> LocalPublisher {
    let name: StreamPath
    do throws(ParseError) { name = try StreamPath(path) } catch { throw .publish("\"\(path.prefix(200))\": \(error)") }
    guard isRunning else { throw .stopped }
    return try await LocalPublisher(name, on: nextWorker())
  }
}
