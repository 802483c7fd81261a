import MartletEndpoints
import MartletIO
import MartletMedia
import MartletPrimitives
import MartletWeb

let log = Log(level: .debug) { print($0.level, $0.subsystem, $0.message, $0.fields) }
let census = ConnectionCensus()
let directory = StreamDirectory()
let loops = (0..<2).map { EventLoop(index: $0) }
let mesh = MediaMesh(loops: loops)
let workers = loops.map { loop in
  Worker(loop, log: log) { context in
    let hub = MediaHub(StreamConfiguration(), directory: directory, mesh: mesh, in: context)
    context.register(hub)
    let admission = Admission(hub: hub, access: OpenAccess(), context: context)
    let listener = RTMPListener(.init(), admission)
    let router = Router()
    let live = LiveEndpoint(admission)
    router.fallback(live.handle)
    let http = HTTPServer(.init(), router: router, in: context)
    context.register(http)
    try! http.listen(on: SocketAddress("127.0.0.1:8080")!, census: census)
    context.register(listener)
    try! listener.listen(on: SocketAddress("127.0.0.1:1935")!, census: census, in: context)
  }
}
for worker in workers { worker.join() }
