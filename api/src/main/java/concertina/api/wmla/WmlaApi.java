package concertina.api.wmla;

import concertina.api.Authentication;
import concertina.api.Contract;
import concertina.api.OwnedJobs;
import concertina.api.OwnedSearches;
import concertina.api.Routes;
import concertina.api.Uploads;
import concertina.model.ErrorCode;
import concertina.train.JobFiles;
import concertina.train.Jobs;
import concertina.trials.PluginHost;
import concertina.trials.Plugins;
import concertina.trials.Searches;
import java.util.random.RandomGenerator;

/** The exec API of the second WMLA generation with its logon and its command-line client, and searches of both generations. */
public final class WmlaApi implements Contract {
    static final String BASE = "/platform/rest/deeplearning/v1";

    private final ConsoleRoutes console;
    private final ExecRoutes execs;
    private final SchedulerRoutes scheduler;
    private final AlgorithmRoutes algorithms;
    private final HyperSearchRoutes searches;

    /** @param seeds where searches that name no seed get theirs from */
    public WmlaApi(
            WmlaOptions options,
            Authentication authentication,
            Uploads uploads,
            Jobs jobs,
            JobFiles files,
            Searches searches,
            Plugins plugins,
            PluginHost.Starter hosts,
            RandomGenerator seeds) {
        OwnedJobs owned = new OwnedJobs(jobs, files, ErrorCode.UNKNOWN_TASK);
        this.console = new ConsoleRoutes(options, authentication, owned);
        this.execs = new ExecRoutes(options, uploads, owned);
        this.scheduler = new SchedulerRoutes(options, owned);
        this.algorithms = new AlgorithmRoutes(
                uploads, new AlgorithmRoutes.Parts(plugins, hosts, searches), options.scriptFolders());
        this.searches = new HyperSearchRoutes(options, uploads, owned, new OwnedSearches(searches), seeds);
    }

    @Override
    public void register(Routes routes) {
        console.register(routes);
        execs.register(routes);
        scheduler.register(routes);
        algorithms.register(routes);
        searches.register(routes);
    }
}
