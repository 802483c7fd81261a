internal import Glibc
internal import MartletEndpoints
internal import MartletIO
internal import MartletMedia
package import MartletPrimitives

/// The whole server: workers, and what they share.
package final class Server: Sendable {
  package let configuration: ServerConfiguration
  package let log: Log
  internal let shared: SharedServices
  internal let workers: [Worker]

  /// Starts the workers' threads and listens; throws when an address cannot be listened on.
  package init(_ configuration: ServerConfiguration, log: Log) async throws {
    self.configuration = configuration
    self.log = log
    signal(SIGPIPE, SIG_IGN)
    let count = configuration.workers > 0 ? configuration.workers : max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    let loops = (0..<count).map { EventLoop(index: $0) }
    let shared = SharedServices(
      configuration: configuration, census: ConnectionCensus(limits: configuration.connections), directory: StreamDirectory(),
      mesh: MediaMesh(loops: loops),
      hls: HLSCatalog(
        loops: loops, start: WallTime(milliseconds: Int64(time(nil)) * 1000), random: UInt32.random(in: 0...UInt32.max)),
      hlsDisk: configuration.hls.path.isEmpty ? nil : HLSDisk(configuration.hls.path, log: log),
      recordings: configuration.record.path.isEmpty ? nil : RecordingStore(configuration.record.path, log: log))
    self.shared = shared
    workers = loops.map { loop in
      Worker(loop, log: log) { context in context.register(WorkerServices(shared, in: context)) }
    }
    for worker in workers {
      let failure = await worker.run { context -> SystemError? in
        do throws(SystemError) { try context.service(WorkerServices.self).listen(shared, in: context) } catch { return error }
        return nil
      }
      if let failure {
        await stop()
        throw failure
      }
    }
  }

  /// Refuses new connections, gives those under way `configuration.drain`, then stops the workers.
  package func drain() async {
    for worker in workers { await worker.run { $0.service(WorkerServices.self).drain() } }
    let step = TimeSpan.milliseconds(50)
    var waited = TimeSpan.zero
    while waited < configuration.drain, shared.census.total > 0 {
      try? await Task.sleep(nanoseconds: UInt64(step.nanoseconds))
      waited = waited + step
    }
    await stop()
  }

  private func stop() async {
    for worker in workers {
      worker.loop.post { $0.stop() }
      worker.join()
    }
    shared.hlsDisk?.close()
    shared.recordings?.close()
    shared.codecs.close()
    shared.disk.close()
  }
}
