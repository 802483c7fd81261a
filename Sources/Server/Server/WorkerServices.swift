internal import MartletEndpoints
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import MartletWeb

/// What one worker runs: its hub, its endpoints and its listeners, put together on the worker's own thread.
internal final class WorkerServices {
  internal let hub: MediaHub
  internal let http: HTTPServer
  internal let rtmp: RTMPListener
  private let live: LiveEndpoint
  private let hls: HLSEndpoint
  private let snapshots: SnapshotEndpoint

  internal init(_ shared: SharedServices, in context: LoopContext) {
    let configuration = shared.configuration
    hub = MediaHub(configuration.streams, directory: shared.directory, mesh: shared.mesh, in: context)
    context.register(hub)
    let admission = Admission(hub: hub, access: OpenAccess(), context: context)
    rtmp = RTMPListener(configuration.rtmp, admission)
    live = LiveEndpoint(admission)
    let held = HeldExchanges(context)
    context.register(held)
    let outputs = HLSOutputs(configuration.hls, admission, shared.hls, shared.hlsDisk)
    context.register(outputs)
    hls = HLSEndpoint(configuration.hls, admission, shared.hls, held)
    context.register(hls)
    context.register(Snapshots(context, pool: shared.codecs))
    snapshots = SnapshotEndpoint(admission, held)
    context.register(FileTransfers(context, pool: shared.disk))
    let recorders = shared.recordings.map { store in
      StreamRecorders(configuration.record, store) { [unowned context] in context.wallTime }
    }
    hub.streamDidStart = { stream in
      recorders?.streamDidStart(stream)
      outputs.streamDidStart(stream)
    }
    let router = Router()
    WebPages.add(to: router)
    RecordingsEndpoint(admission, shared.recordings, held, disk: shared.disk).add(to: router)
    router.fallback(hls.handle)
    router.fallback(snapshots.handle)
    router.fallback(live.handle)
    http = HTTPServer(configuration.http, router: router, in: context)
    if configuration.diagnostics { DiagnosisEndpoint.add(to: router) }
  }

  internal func listen(_ shared: SharedServices, in context: LoopContext) throws(SystemError) {
    let listeners = shared.configuration.listeners
    if let address = listeners.http { try http.listen(on: address, census: shared.census) }
    if let address = listeners.rtmp { try rtmp.listen(on: address, census: shared.census, in: context) }
  }

  /// No new connections; those there may finish.
  internal func drain() {
    rtmp.stopListening()
    http.drain()
  }
}

/// What all workers share; nothing in it is touched per packet.
internal struct SharedServices: Sendable {
  let configuration: ServerConfiguration
  let census: ConnectionCensus
  let directory: StreamDirectory
  let mesh: MediaMesh
  /// For work of FFmpeg's libraries that somebody waits for.
  let codecs = ThreadPool(name: "martlet-codec", limit: 64)
  /// For reading files that clients wait for.
  let disk = ThreadPool(name: "martlet-disk", threads: 4, limit: 1024)
  let hls: HLSCatalog
  let hlsDisk: HLSDisk?
  let recordings: RecordingStore?
}
