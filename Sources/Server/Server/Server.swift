internal import Glibc
internal import MartletCrypto
internal import MartletEndpoints
internal import MartletIO
internal import MartletMedia
package import MartletPrimitives
internal import Synchronization

/// The whole server: workers, and what they share. Programs that embed one begin with `start`.
public final class Server: Sendable {
  package let log: Log
  /// Where it listens, with the ports that the kernel chose where 0 was configured.
  package let bound: ServerConfiguration.Listeners
  internal let shared: SharedServices
  internal let workers: [Worker]
  private let current: Mutex<ServerConfiguration>
  /// The log of a server that opened its own.
  internal let writer: LogWriter?
  internal let isStopped = Atomic<Bool>(false)
  private let placed = Atomic<Int>(0)
  #if Transcoding
    private let demo: DemoPublisher?
  #endif

  package var configuration: ServerConfiguration { current.withLock { $0 } }

  /// Starts the workers' threads and listens; throws when an address cannot be listened on.
  package init(_ configuration: ServerConfiguration, log: Log, writer: LogWriter? = nil) async throws {
    var configuration = configuration
    if configuration.workers == 0 { configuration.workers = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
    self.log = log
    self.writer = writer
    signal(SIGPIPE, SIG_IGN)
    let loops = (0..<configuration.workers).map { [uring = configuration.io.uring] in EventLoop(index: $0, batchesWrites: uring == .auto) }
    let shared = try SharedServices(configuration, loops: loops, log: log)
    self.shared = shared
    let workers = loops.map { loop in
      Worker(loop, log: log) { context in context.register(WorkerServices(shared, in: context)) }
    }
    self.workers = workers
    current = Mutex(configuration)
    do throws(ListenError) { bound = try await Self.listen(workers, shared) } catch {
      await Self.stop(workers, shared)
      throw error
    }
    let (open, warnings) = (bound, StartReport(configuration, bound: bound).warnings)
    shared.state.listeners.withLock { $0 = open }
    shared.state.warnings.withLock { $0 = warnings }
    shared.state.isReady.store(true, ordering: .releasing)
    #if Transcoding
      demo = try configuration.demo ? DemoPublisher(path: StreamPath("live/demo"), on: loops[0], log: log) : nil
    #endif
  }

  /// The first worker may be given a port by the kernel; the others share it.
  private static func listen(_ workers: [Worker], _ shared: SharedServices) async throws(ListenError) -> ServerConfiguration.Listeners {
    var listeners = try ListenError.settle(
      shared.configuration.listeners, mediaTakesTCP: shared.configuration.webrtc.takesTCP)
    for worker in workers {
      let addresses = listeners
      let result = await worker.run { context -> Result<ServerConfiguration.Listeners, ListenError> in
        do throws(SystemError) {
          return .success(try context.service(WorkerServices.self).listen(on: addresses, shared, in: context))
        } catch { return .failure(ListenError(reason: error, advice: "")) }
      }
      listeners = try result.get()
    }
    return listeners
  }

  /// The workers in turn, for what the program itself publishes.
  internal func nextWorker() -> Worker {
    workers[Int(UInt(bitPattern: placed.add(1, ordering: .relaxed).oldValue) % UInt(workers.count))]
  }

  /// Takes over what can change while the server runs.
  package func reload(_ wanted: ServerConfiguration) async -> ConfigurationChange {
    var change = ConfigurationChange(from: configuration, to: wanted)
    var policy: AccessPolicy?
    // A key file may have changed under the same name, too.
    do throws(AccessPolicyError) { policy = try AccessPolicy(change.configuration.auth, administrator: shared.administrator) } catch {
      log(.error, "auth", "permissions stay as they are: \(error)")
      change.configuration.auth = configuration.auth
      change.applied.removeAll { $0.hasPrefix("auth.") }
    }
    // The files may have changed under the same names, as a renewal does.
    do throws(TLSError) { try shared.certificates.reload(change.configuration.tls, state: wanted.state, log: log) } catch {
      log(.error, "tls", "the certificates stay as they are: \(error)")
    }
    current.withLock { $0 = change.configuration }
    let warnings = StartReport(change.configuration, bound: bound).warnings
    shared.state.warnings.withLock { $0 = warnings }
    for worker in workers {
      await worker.run { [configuration = change.configuration, policy, bound] in
        $0.service(WorkerServices.self).reload(configuration, policy, bound: bound)
      }
    }
    return change
  }

  /// Refuses new connections and allocations, gives those under way `configuration.drain`, then stops the workers.
  package func drain() async {
    shared.state.isReady.store(false, ordering: .releasing)
    #if Transcoding
      demo?.stop()
    #endif
    for worker in workers { await worker.run { $0.service(WorkerServices.self).drain() } }
    let step = TimeSpan.milliseconds(50)
    var waited = TimeSpan.zero
    while waited < configuration.drain, shared.census.total + shared.turn.quotas.total > 0 {
      try? await Task.sleep(nanoseconds: UInt64(step.nanoseconds))
      waited = waited + step
    }
    await Self.stop(workers, shared)
  }

  private static func stop(_ workers: [Worker], _ shared: SharedServices) async {
    for worker in workers {
      worker.loop.post { $0.stop() }
      worker.join()
    }
    shared.closeThreads()
  }
}
