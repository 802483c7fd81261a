internal import MartletEndpoints
internal import MartletIO
internal import MartletMedia
internal import MartletWeb

/// What is made of a worker's streams besides the live formats: HLS, pictures, recordings.
internal final class OutputServices {
  private let hls: HLSEndpoint
  private let snapshots: SnapshotEndpoint
  private let recordings: RecordingsEndpoint

  internal init(_ shared: SharedServices, _ admission: Admission) {
    let (context, configuration) = (admission.context, shared.configuration)
    let held = HeldExchanges(context)
    context.register(held)
    context.register(FileTransfers(context, pool: shared.disk))
    let outputs = HLSOutputs(configuration.hls, admission, shared.hls, shared.hlsDisk)
    context.register(outputs)
    hls = HLSEndpoint(configuration.hls, admission, shared.hls, held)
    context.register(hls)
    context.register(Snapshots(context, pool: shared.codecs))
    snapshots = SnapshotEndpoint(admission, held)
    recordings = RecordingsEndpoint(admission, shared.recordings, held, disk: shared.disk)
    let recorders = StreamRecorders(configuration.record, shared.recordings, hub: admission.hub) { [unowned context] in context.wallTime }
    context.register(recorders)
    admission.hub.makeTranscoder = { [transcoders = shared.transcoders] in transcoders.make($0, deliver: $1) }
    admission.hub.makePacketizer = { [unowned context] _, packets in StreamPacketizer(packets, in: context) }
    admission.hub.streamDidStart = { stream in
      recorders.streamDidStart(stream)
      outputs.streamDidStart(stream)
    }
  }

  /// Comes before the live formats: a segment's path ends like a stream's in MPEG-TS.
  internal func add(to router: Router) {
    recordings.add(to: router)
    router.fallback(hls.handle)
    router.fallback(snapshots.handle)
  }
}
