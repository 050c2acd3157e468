// The clients in Swift behind the driver's commands: `conformance-client async` or `conformance-client blocking`.

switch CommandLine.arguments.dropFirst().first {
case "async": await AsyncAdapter().run()
case "blocking": BlockingAdapter().run()
default: print("usage: conformance-client async|blocking")
}
