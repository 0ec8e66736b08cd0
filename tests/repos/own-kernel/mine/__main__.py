from ipykernel.kernelapp import launch_new_instance

launch_new_instance()
